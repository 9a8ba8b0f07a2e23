"""An RTSP server as cameras run it, on GStreamer: `/usr/bin/python3 rtsp_server.py VIDEO.mp4 PORT [--…]`.

It needs Debian's Python, whose bindings of GStreamer PyPI does not have. Each client is sent the video at its own pace
from its beginning, with the clock of the machine in RTCP's sender reports. Clients share no pipeline: one that gives up
while the first frames are awaited would leave it unusable for all that follow.
"""

import argparse

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 (after the versions)

ROLE = "viewer"


def main() -> None:
    """Serve until the process ends."""
    given = arguments()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(given.port))
    factory = GstRtspServer.RTSPMediaFactory()
    damage = f"! breakmydata probability={given.damage} skip=2000" if given.damage else ""
    factory.set_launch(
        f"( filesrc location={given.video} ! qtdemux ! h264parse {damage} "
        "! rtph264pay name=pay0 pt=96 config-interval=1 )"
    )
    if given.password:
        require_password(server, factory, given.user, given.password)
    server.get_mount_points().add_factory("/stream", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("video")
    parser.add_argument("port", type=int)
    parser.add_argument("--damage", type=float, default=0.0, help="Share of the stream's bytes that are overwritten.")
    parser.add_argument("--user", default="viewer")
    parser.add_argument("--password", default="")
    return parser.parse_args()


def require_password(server: object, factory: object, user: str, password: str) -> None:
    """Let nobody see the stream without it."""
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)  # type: ignore[attr-defined]
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role(ROLE, "media.factory.access", True)
    permissions.add_permission_for_role(ROLE, "media.factory.construct", True)
    factory.set_permissions(permissions)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
