"""What kind of disk a file lies on, by what Linux says of its mounts. Nothing is known elsewhere."""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
IN_MEMORY = frozenset({"tmpfs", "ramfs"})
ON_A_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "glusterfs", "fuse.glusterfs", "fuse.sshfs"}
)
LAYERED = frozenset({"overlay", "aufs"})


def kind(file: Path) -> str:
    """The type of its file system, such as `ext4`; empty if that is not known."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    wanted, found, longest = file.resolve(), "", -1
    for line in lines:
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue
        place = Path(_plain(fields[4]))
        if wanted.is_relative_to(place) and len(place.parts) >= longest:  # what was mounted later lies above
            found, longest = right.split(" ")[0], len(place.parts)
    return found


def _plain(text: str) -> str:
    """As proc(5) writes blanks."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
