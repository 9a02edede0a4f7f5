"""Analysis of finished and running searches: frames, importance, report, dashboard."""
