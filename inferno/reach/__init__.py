"""Reaching into a VM that runs: over vsock and init's API (docs/guest-api.md), without network, SSH or an agent.

What answers may be an attacker: each answer has a deadline, or a person who waits; each frame has a size.
"""
