"""What authors of claims try, one row each: refused with the field's name, and with what opens it.

Each row is put to the function under two settings files of the examples: closed, for several teams,
and open, for one team that trusts itself. `e2e/test_validation.py` puts those that say `admission`
to the API server's own validation.
"""

import copy

from function import generate
from function.api import claim, settings
from function.composites import inference_service
from tests import cases, cluster, schemas
from tests.boundary import attacks

CLOSED = cluster.load("examples/settings/closed.yaml")
OPEN = cluster.load("examples/settings/open.yaml")

SCHEMA = schemas.Schema.from_crd(generate.composite_definition(inference_service), claim.VERSION)


def reconciled(attack: attacks.Attack, config: cluster.Object) -> cluster.Cluster:
    """Returns the cluster after the function was asked once."""
    config = copy.deepcopy(config)
    data = config["data"]
    data["inferenceService"] = settings.merge(data["inferenceService"], attack.under)
    return cluster.Cluster(attack.claim, config).reconcile()


@cases.together("attack", cases.named(attacks.ALL))
def test_it_is_refused_with_its_field(attack: attacks.Attack) -> None:
    world = reconciled(attack, CLOSED)
    assert world.fatal is not None
    assert f"{attack.field}: " in world.fatal or f"{attack.field} " in world.fatal, world.fatal
    assert attack.opens is None or attack.opens in world.fatal
    # In words, not by a pattern alone, and in one line that steers no terminal.
    assert "match pattern" not in world.fatal
    assert world.fatal.isprintable()
    assert world.objects == {}


@cases.together("attack", cases.named(one for one in attacks.ALL if one.opens))
def test_the_setting_that_is_named_opens_it(attack: attacks.Attack) -> None:
    assert reconciled(attack, OPEN).fatal is None


@cases.together("attack", cases.named(one for one in attacks.ALL if not one.opens))
def test_no_setting_opens_what_is_nobodys(attack: attacks.Attack) -> None:
    world = reconciled(attack, OPEN)
    assert world.fatal is not None
    assert attack.field in world.fatal


@cases.together("attack", cases.named(one for one in attacks.ALL if one.admission))
def test_the_schema_refuses_what_it_can(attack: attacks.Attack) -> None:
    assert SCHEMA.validate(attack.claim)


def test_each_is_another() -> None:
    assert len({attack.name for attack in attacks.ALL}) == len(attacks.ALL)
