import pytest

from inferno.base.errors import UsageError
from inferno.state.names import check_name


@pytest.mark.parametrize("name", ["web1", "0", "a-b", "test_alpine_latest", "a_", "a" * 63])
def test_good_names_pass(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["kiln", "firecracker-kiln", "vm_combined", "_a", "..", "a/b", "-x", "Web", "a" * 64, "", "a\n", "é"]
)
def test_bad_names_are_refused_with_a_hint(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_name(name)
    assert caught.value.hint
