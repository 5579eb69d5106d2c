"""Courses of events, of the changes and the steps of the world that a life is made of."""

# Courses of events that chance alone would seldom find; each step is a change, or what core and the
# world do next. They begin anywhere, and anything may come after them.
STORIES: dict[str, tuple[str, ...]] = {
    "a swap fails and is suspended": (
        *("resume", "rest", "revision 1", "reconcile", "the Job fails with 10"),
        *("suspend", "reconcile"),
    ),
    "a swap loses its Deployment": (
        *("resume", "rest", "revision 2", "reconcile", "the Deployment is deleted"),
        *("deletions end", "reconcile"),
    ),
    "a suspended claim loses its Deployment": (
        *("suspend", "rest", "the Deployment is deleted", "deletions end", "reconcile"),
    ),
    "a secret is withdrawn in a swap": (
        *("a secret", "rest", "another repository", "no secret", "reconcile"),
    ),
    "a canary is withdrawn": (
        *("gateway on", "adapters 0 and 1, canary 1", "rest", "no adapter", "reconcile"),
    ),
    "a canary rises and breaks": (
        *("keda", "a gateway", "resume", "scale 1 to 3", "adapters 0 and 1, canary 1"),
        *("a way to the metrics", "rest", "a gate of 20", "reconcile", "other controllers report"),
        *("reconcile", "reconcile", "a canary's step holds", "reconcile", "reconcile"),
        *("other controllers report", "reconcile", "a canary's step breaks", "reconcile", "rest"),
        *("another try of the gate", "reconcile", "reconcile", "a canary's step holds", "lag"),
        *("the memory of canaries is lost", "reconcile", "rest", "a gate of 40", "reconcile"),
    ),
    "a canary's memory is forged": (
        *("keda", "a gateway", "resume", "scale 1 to 3", "adapters 0 and 1, canary 1"),
        *("a way to the metrics", "rest", "a gate of 40", "reconcile", "other controllers report"),
        *("reconcile", "somebody writes that canaries held", "reconcile", "reconcile"),
        *("a canary's step holds", "reconcile", "somebody writes that canaries held", "reconcile"),
        *("another repository", "reconcile", "somebody writes that canaries held", "reconcile"),
    ),
    "a canary changes behind its gate": (
        *("keda", "a gateway", "resume", "scale 1 to 3", "adapters 1 and 2, canary 2"),
        *("a way to the metrics", "a gate of 20", "rest", "another adapter of the name"),
        *("reconcile", "progress", "reconcile", "no way to the metrics", "rest"),
    ),
    "a hot adapter comes, changes and goes": (
        *("engine 0.32.0", "immediate", "keda", "a gateway", "gateway on", "resume"),
        *("scale 1 to 3", "hot adapter 0", "rest", "hot adapters 0 and 1", "reconcile", "progress"),
        *("another adapter of the name", "reconcile", "progress", "hot adapter 0", "reconcile"),
        *("rest", "no adapter", "reconcile", "progress", "rest"),
    ),
    "a hot adapter changes with its base model": (
        *("engine 0.32.0", "immediate", "keda", "resume", "scale 1 to 3"),
        # The second one lies verified on the volume when the base model changes.
        *("hot adapters 0 and 1", "rest", "hot adapter 0", "rest", "revision 1", "rest"),
        *("another repository", "hot adapters 0 and 1", "reconcile", "the Job runs", "reconcile"),
        *("another adapter of the name", "reconcile", "progress", "reconcile"),
    ),
    "old weights go while hot adapters change": (
        *("engine 0.32.0", "immediate", "resume", "delete old weights", "hot adapters 0 and 1"),
        *("rest", "another adapter of the name", "progress", "reconcile", "hot adapter 0"),
        *("progress", "progress", "reconcile", "rest"),
    ),
    "an old token": (
        *("on claim change", "engine 0.25.1", "rest", "accept nothing", "engine 0.32.0"),
        "reconcile",
    ),
    "a sleeper that nothing can wake any more": (
        *("keda", "scale 0 to 2", "resume", "gateway on", "born again", "rest", "no gateway"),
        "reconcile",
    ),
    "a platform change before anything served": (
        *("keda", "scale 0 to 2", "resume", "on claim change", "engine 0.25.1", "born again"),
        *("rest", "engine 0.32.0", "reconcile"),
    ),
    "an accepted change": (
        *("on claim change", "engine 0.32.0", "rest", "another engine image", "reconcile"),
        *("accept", "reconcile"),
    ),
    "a route in an outage": (
        *("scale 1 to 3", "gateway on", "rest", "an outage", "reconcile", "the route is deleted"),
        "reconcile",
    ),
    "a claim woken behind our back": (
        *("keda", "scale 0 to 2", "resume", "born again", "rest", "lag", "some load", "reconcile"),
    ),
    "a claim that is scaled behind our back": (
        *("keda", "scale 1 to 3", "resume", "rest", "lag", "much load", "reconcile"),
    ),
    "nothing runs though something should": (
        *("keda", "resume", "scale 1 to 1", "rest", "somebody scales to 0"),
        *("the Deployment's controller acts", "reconcile"),
    ),
    "a start is suspended": ("resume", "scale 1 to 3", "rest", "an outage", "suspend", "reconcile"),
    "kinds are uninstalled": ("rest", "core knows the kinds of every cluster", "reconcile"),
    "a swap loses its Deployment and all memory": (
        *("resume", "rest", "another repository", "reconcile", "the memory is lost"),
        *("the Deployment is deleted", "deletions end", "reconcile", "reconcile"),
    ),
    "a swap to a model that no GPU holds loses its Deployment and all memory": (
        *("resume", "rest", "another repository", "quantization auto", "reconcile"),
        *("the memory is lost", "the Deployment is deleted", "deletions end", "reconcile"),
        *("reconcile", "quantization fp8", "reconcile"),
    ),
    "a birth on small nodes": ("resume", "small nodes", "born again", "rest", "large nodes"),
    "a budget that is deleted, and made by somebody else": (
        *("resume", "rest", "the budget is deleted", "strangers take the free names", "reconcile"),
        *("scale 1 to 3", "reconcile", "strangers have gone", "reconcile"),
    ),
    "a birth among strangers": (
        *("resume", "delete old weights", "born again", "strangers take the free names"),
        *("reconcile", "progress", "strangers have gone", "reconcile"),
    ),
    "a birth where nobody answers": ("core answers nothing about kinds", "born again", "reconcile"),
    "old weights are let go and wanted again": (
        *("resume", "delete old weights", "revision 1", "rest", "revision 0", "progress"),
        *("progress", "reconcile", "revision 1", "reconcile"),
    ),
    "weights move to an image, are let go and come back": (
        *("resume", "delete old weights", "from an image", "progress", "rest"),
        *("from the hub", "progress", "reconcile", "from a bucket", "rest", "from the hub", "rest"),
    ),
}
