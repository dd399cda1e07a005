"""Bounds what the standard library's tarfile does with the headers of an archive.

tarfile follows extension headers (long names, pax records, sparse maps) before anybody can look at
the member that they belong to. In a hostile archive each one in a row costs a level of recursion,
the records take time that grows with the square of their length, and a sparse map takes as much
memory as it claims to need. So all of them are looked at before tarfile reads on.
"""

from __future__ import annotations

import tarfile
from typing import Self

__all__ = ["BoundedTarInfo", "RefusedHeaderError"]

MAX_EXTENSIONS = 4
"""Extension headers of one member; one with a long name, a long link and pax records has three."""

MAX_EXTENSION_BYTES = 4096
"""Of one extension header. A model's files have short names, so that little is left to say."""

_EXTENSIONS = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)


class RefusedHeaderError(Exception):
    """The archive has a header that no model's archive needs; the message says which."""


class BoundedTarInfo(tarfile.TarInfo):
    """A member of an archive, for `tarfile.open(..., tarinfo=BoundedTarInfo)`."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        """Read the next member; called once for its own header and once for each of its extensions.

        Returns:
            The member.

        Raises:
            RefusedHeaderError: the member's headers are out of bounds.
            tarfile.HeaderError: there is no further member.
        """
        _check_headers(tarfile)
        return super().fromtarfile(tarfile)


def _check_headers(archive: tarfile.TarFile) -> None:
    """Refuse the next member's headers where they are out of bounds; the position stays."""
    file = archive.fileobj
    assert file is not None
    start = file.tell()
    for _ in range(MAX_EXTENSIONS + 1):
        try:
            header = tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), "utf-8", "replace")
        except tarfile.HeaderError:
            break  # tarfile will fail there too, and says why
        if header.size < 0:
            raise RefusedHeaderError("a member with a negative size")
        if header.type == tarfile.GNUTYPE_SPARSE:
            raise RefusedHeaderError("a sparse file")
        if header.type not in _EXTENSIONS:
            break
        if header.size > MAX_EXTENSION_BYTES:
            raise RefusedHeaderError(f"an extension header of {header.size} bytes")
        blocks = -(-header.size // tarfile.BLOCKSIZE)
        if b"GNU.sparse." in file.read(blocks * tarfile.BLOCKSIZE):
            raise RefusedHeaderError("a sparse file")
    else:
        raise RefusedHeaderError(f"a member with more than {MAX_EXTENSIONS} extension headers")
    file.seek(start)
