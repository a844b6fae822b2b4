"""A Python process of our own beside this one, and the pipe between the two.

Both ends talk through a private pair of sockets, never through anything that another process could write to. Where one
has gone, the other finds the end of the pipe.
"""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import sys
from multiprocessing.connection import Connection


def start_child(module: str, patience: float = 0.0) -> tuple[subprocess.Popen[bytes], Connection]:
    """Starts ``main(descriptor)`` of a module in another process, which no Ctrl-C reaches: its parent has to end it.

    Args:
        module: its name.
        patience: sending and receiving here give up after so long (OSError), s; 0 waits for ever.

    Returns:
        the process, and our end of the pipe.
    """
    ours, theirs = socket.socketpair()
    for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
        ours.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", int(patience), 0))
    # Not `-m`: what it sends would then be of the module `__main__`.
    # Not the folder that it is started in, but what this one imports from: a stray `queue.py` there must not be read.
    code = f"import sys; sys.path[:] = {sys.path!r}; from {module} import main; main({theirs.fileno()})"
    command = [sys.executable, "-P", "-c", code]
    # A process inherits what its parent's thread has blocked.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    theirs.close()
    return process, Connection(ours.detach())
