"""Serves DeepCAVE's page, style sheets and icons included: none of it needs the web.

DeepCAVE sets itself up as an application where the program's name holds ``server.py``.
"""

from __future__ import annotations

from pathlib import Path

from cave import lifeline
from cave.settings import Settings

STYLE = "/style/css/bootstrap.min.css"
ICONS = "/icons/css/all.min.css"


def main() -> None:
    """Serves until the dashboard ends."""
    settings = Settings.read()
    lifeline.hold(settings)

    import dash_bootstrap_components as dbc

    # Read while deepcave is imported.
    dbc.themes.BOOTSTRAP = STYLE
    dbc.icons.FONT_AWESOME = ICONS

    import flask
    import flask_bootstrap
    import fontawesomefree
    from cave.pages import remember_first_run
    from deepcave import app, c, config, run_handler
    from deepcave.layouts.main import MainLayout

    folders = {
        "style": Path(flask_bootstrap.__file__).parent / "static" / "bootstrap5",
        "icons": Path(fontawesomefree.__file__).parent / "static" / "fontawesomefree",
    }
    for name, folder in folders.items():
        app.server.register_blueprint(
            flask.Blueprint(name, __name__, static_folder=folder, static_url_path=f"/{name}")
        )
    plugins = config.PLUGINS
    app.layout = MainLayout(plugins)()
    remember_first_run(plugins, c, run_handler)
    app.run_server(debug=False, port=config.DASH_PORT, host=config.DASH_ADDRESS)


if __name__ == "__main__":
    main()
