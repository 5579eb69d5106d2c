"""Front doors in files: misspelt ones, and fields that do not exist."""

import yaml

from function.composites import registry
from tests.cli import command
from tests.fleet import scene


def test_a_field_that_does_not_exist_comes_with_what_was_meant() -> None:
    door = scene.of(caller=[scene.caller("a")])
    result = command.render("-", "--environment", command.REFERENCE, given=yaml.safe_dump(door))
    assert result.exit_code == 1
    assert "spec.caller: unknown field" in result.stderr
    assert "callers" in result.stderr


def test_a_misspelt_front_door_is_not_passed_over() -> None:
    door = {**scene.of(), "kind": "InferenceGatewy"}
    result = command.render("-", "--environment", command.REFERENCE, given=yaml.safe_dump(door))
    assert result.exit_code == 1
    assert "a claim is cloud.ogenki.io/v1alpha1, InferenceGateway" in result.stderr


def test_each_kind_is_registered_under_its_own_name() -> None:
    for (group, kind), composite in registry.COMPOSITES.items():
        assert (group, kind) == (composite.GROUP, composite.KIND)
