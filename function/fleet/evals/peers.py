"""What evaluations may reach: the door's proxies, the metrics store and DNS.

Nobody reaches them.
"""

from function.api import settings_forms
from function.fleet import own_pods, policies, router_config, rows, situations
from function.fleet.evals import wanted

PODS = own_pods.OwnPods(wanted.COMPONENT, "evals", rows.EVALS)


def reach(now: situations.Situation, form: policies.Form) -> tuple[policies.Rules, policies.Rules]:
    """Returns the rules for what comes in, of which there are none, and those for what goes out."""
    door, evals = now.door, now.door.site.front_door.evals
    _, listener = router_config.gateway_address(door)
    pushed = settings_forms.port(str(evals.push_url))
    called = [policies.proxies(door)]
    if evals.store is not None:
        called.append(policies.named(door, evals.store, evals.store.port or pushed))
    egress = [*map(form.to_pods, called), form.to_names(policies.names(door))]
    if evals.egress_cidrs:
        egress.append(form.to_networks(evals.egress_cidrs, (listener, pushed)))
    return [], egress
