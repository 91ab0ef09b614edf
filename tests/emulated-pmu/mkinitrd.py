#!/usr/bin/env python3
"""Packs files into a gzip-compressed initramfs (cpio, newc) with /dev/console: mkinitrd.py OUT NAME=FILE...

Takes neither root nor cpio(1).
"""

import gzip
import itertools
import sys
from pathlib import PurePosixPath

DIRECTORY = 0o40755
PROGRAM = 0o100755
DEVICE = 0o20600
FOLDERS = ("dev", "proc", "sys", "tmp", "bin", "etc")

inodes = itertools.count(1)


def padded(data):
    return data + b"\0" * (-len(data) % 4)


def entry(name, mode, data=b"", major=0, minor=0):
    """An entry of the archive: inode, mode, uid, gid, links, mtime, size, device, device that it is, length of the name, checksum."""
    path = name.encode() + b"\0"
    fields = (next(inodes), mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(path), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return padded(header + path) + padded(data)


def main(out, *files):
    archive = [entry(folder, DIRECTORY) for folder in FOLDERS]
    archive.append(entry("dev/console", DEVICE, major=5, minor=1))
    packed = dict(file.split("=", 1) for file in files)
    folders = {str(folder) for name in packed for folder in PurePosixPath(name).parents} - {".", *FOLDERS}
    archive += [entry(folder, DIRECTORY) for folder in sorted(folders)]
    for name, source in packed.items():
        with open(source, "rb") as content:
            archive.append(entry(name, PROGRAM, content.read()))
    archive.append(entry("TRAILER!!!", 0))
    with open(out, "wb") as initrd:
        initrd.write(gzip.compress(b"".join(archive), 1))


main(*sys.argv[1:])
