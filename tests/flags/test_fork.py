"""A forked process has the flags of its parent, and counts by itself."""

from __future__ import annotations

from pathlib import Path

from insula.flags import BooleanFlag, Flags, current, use
from support.forking import in_child

new_checkout = BooleanFlag("new-checkout", default=False)


def test_a_child_answers_as_its_parent_and_counts_from_nothing() -> None:
    use(Flags({"new-checkout": {"rollout": 50}}))
    users = [f"user-{number}" for number in range(100)]
    here = [new_checkout.is_on(user) for user in users]
    there, counts = in_child(lambda: [[new_checkout.is_on(user) for user in users], current().counts])
    assert there == here
    assert sum(counts["new-checkout"].values()) == 100
    assert sum(current().counts["new-checkout"].values()) == 100


def test_a_child_sees_changes_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "flags.toml"
    file.write_text("[flags.new-checkout]\n")
    use(Flags(file, check_seconds=0))
    assert not new_checkout.is_on()

    def changed() -> bool:
        file.write_text('[flags.new-checkout]\ndefault = "on"\n')
        new_checkout.is_on()  # which finds that it has just been changed
        return new_checkout.is_on()

    assert in_child(changed) is True
    new_checkout.is_on()
    assert new_checkout.is_on()
