"""The signals that stop the server."""

import signal


def list_stop_signals() -> list[signal.Signals]:
    """Return SIGTERM, and SIGHUP if the system has it and the parent process does not ignore it, as `nohup` does."""
    is_hangup_handled = hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGHUP] if is_hangup_handled else [signal.SIGTERM]
