"""What a finished or running search means: frames, importance, report, dashboard."""
