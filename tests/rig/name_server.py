"""A name server for a test in the rig: `name_server.py ADDRESS` says that every name is at ANSWER, by IPv4 alone."""

import socket
import sys

ANSWER = "192.0.2.80"
_A = 1


def answer(question: bytes) -> bytes:
    """RFC 1035, section 4: the question again, and one record for it."""
    end = question.index(b"\0", 12) + 5  # the name, its type and class
    is_a = int.from_bytes(question[end - 4 : end - 2], "big") == _A
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(ANSWER)
    head = question[:2] + b"\x81\x80\0\1" + bytes([0, is_a]) + bytes(4)
    return head + question[12:end] + (record if is_a else b"")


if __name__ == "__main__":
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((sys.argv[1], 53))
        while True:
            asked, peer = server.recvfrom(512)
            server.sendto(answer(asked), peer)
