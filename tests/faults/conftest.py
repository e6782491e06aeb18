from __future__ import annotations

import os

collect_ignore = [] if os.environ.get("HUNT") else ["test_stopped_holder.py"]
"""What takes long is collected by `make hunt` only."""
