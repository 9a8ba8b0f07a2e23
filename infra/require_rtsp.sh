#!/usr/bin/env bash
# The tests of live streams need a real RTSP server: install GStreamer's from Debian where we may, else say what is missing.
set -euo pipefail

packages="python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-rtsp gstreamer1.0-plugins-good gstreamer1.0-plugins-bad faketime"
probe="import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
if [ -x /usr/bin/python3 ] && /usr/bin/python3 -c "$probe" 2>/dev/null && command -v faketime >/dev/null; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing GStreamer's RTSP server …" >&2
    # shellcheck disable=SC2086
    apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages >/dev/null
    exit 0
fi
echo "an RTSP server is missing; install it (Debian: apt-get install $packages) and run again" >&2
exit 2
