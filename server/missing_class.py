"""Writes a Java class that Spark's Hive needs and Spark does not ship; without it sessions hang.

    python3 server/missing_class.py >'LlapSigner$Signable.class'

When two sessions of the Thrift server end at once, Hive may register its functions again. One of
them belongs to LLAP, an engine that Spark does not have. Without this interface of LLAP the
registration fails, and every later end of a session waits forever (SPARK-51041). An empty
interface is enough.
"""

import struct
import sys
from pathlib import Path

NAME = "org/apache/hadoop/hive/llap/security/LlapSigner$Signable"
# Values of the class file format: The Java Virtual Machine Specification, chapter 4.
UTF8, CLASS = 1, 7
PUBLIC_ABSTRACT_INTERFACE = 0x0601
JAVA_8 = 52


def class_file(name: str) -> bytes:
    """Returns the compiled form of `public interface name {}`."""
    constants = b""
    for index, text in ((1, name), (3, "java/lang/Object")):
        constants += struct.pack(">BH", UTF8, len(text)) + text.encode()
        constants += struct.pack(">BH", CLASS, index)
    header = struct.pack(">IHHH", 0xCAFEBABE, 0, JAVA_8, 5)
    # The class, its superclass, and no interfaces, fields, methods or attributes.
    return header + constants + struct.pack(">7H", PUBLIC_ABSTRACT_INTERFACE, 2, 4, 0, 0, 0, 0)


def write(folder: Path) -> None:
    """Writes the class where Java finds it if `folder` is on the class path."""
    path = folder / f"{NAME}.class"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(class_file(NAME))


if __name__ == "__main__":
    sys.stdout.buffer.write(class_file(NAME))
