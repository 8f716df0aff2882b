"""An RTSP server by GStreamer that plays a video file to whoever asks: `python3 gstreamer_rtsp.py PORT FILE`.

It runs in the system's Python, which has GStreamer's bindings (Debian: gir1.2-gst-rtsp-server-1.0, python3-gi,
gstreamer1.0-plugins-base and -good). It prints a line once it listens.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)
port, file = sys.argv[1:]
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(f'( filesrc location="{file}" ! qtdemux ! h264parse ! rtph264pay name=pay0 config-interval=1 )')
server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
server.get_mount_points().add_factory("/camera", factory)
if not server.attach(None):
    sys.exit("the port is taken")
print("listening", flush=True)
GLib.MainLoop().run()
