"""What a planned claim will do: how fast it answers, what it costs, which trigger fires, its start.

The command line asks for it, of claims that nobody has applied. `compose` needs what tokens cost
alone: prices of a front door may follow from that.
"""

import dataclasses
from collections.abc import Collection, Mapping

from function import memo
from function.capacity import arrangements, estimates, fit, loads, prices, starts, thresholds
from function.planning import plans, prospects, replica, storage


@dataclasses.dataclass(frozen=True)
class TokenPrice:
    """What a million tokens of prompts and answers cost, at a stated load.

    Attributes:
        low: Where the engine is as fast as is believable.
        best: Most likely.
        high: Where it is as slow as is believable; None when no number of replicas is enough.
        currency: ISO 4217 code.
        rate: Requests a second, or None for a full replica.
        apart: The same for prompts and for answers, of a full replica, most likely.
    """

    low: prices.Money
    best: prices.Money
    high: prices.Money | None
    currency: str
    rate: float | None
    apart: "Apart"


@dataclasses.dataclass(frozen=True)
class Apart:
    """What a million tokens cost where a replica is full, by what they take of its time.

    Attributes:
        prompts: Of prompts, which are read.
        answers: Of answers, which are made a token a step.
    """

    prompts: prices.Money
    answers: prices.Money


@dataclasses.dataclass(frozen=True)
class Forecast:
    """What a planned claim will do; None for what nobody knows.

    Attributes:
        plan: The claim, planned.
        workloads: Requests that are asked about, by name.
        cost: What its GPUs cost in an hour.
        needs: Replicas that the rate needs, by workload, and None where a single request misses
            what users are promised; empty where nobody asked.
        tokens: What tokens cost, by workload, where the class has a price.
        loads: What a full replica gives, by workload.
        triggers: Which scaling trigger fires first, by workload; empty where nobody knows, or
            where nothing stays in a KV cache.
        start: The first start, from the node to the first answer; without steps where none is
            asked for, since no node of its class could hold a replica.
    """

    plan: plans.Plan
    workloads: Mapping[str, loads.Workload]
    cost: prices.Cost | None
    needs: Mapping[str, loads.Replicas | None]
    tokens: Mapping[str, TokenPrice]
    loads: Mapping[str, loads.Load]
    triggers: Mapping[str, thresholds.Binding]
    start: starts.Timeline

    @property
    def fit(self) -> fit.Fit | None:
        """Whether the model fits."""
        outlook = self.plan.serving.outlook
        return None if outlook is None else outlook.fit


def forecast(
    plan: plans.Plan,
    workloads: Mapping[str, loads.Workload],
    rate: float | None = None,
    stored: Collection[str] = (),
) -> Forecast:
    """Returns what a planned claim will do.

    Args:
        plan: The claim, planned.
        workloads: Requests to answer, by name.
        rate: Requests a second in the busiest minutes, or None where nobody says.
        stored: The directories of weights that lie on the volume already, as the status records
            them.
    """
    engine = _judged(plan)
    given: dict[str, loads.Load] = {}
    tokens: dict[str, TokenPrice] = {}
    needs: dict[str, loads.Replicas | None] = {}
    if engine is not None and plan.serving.generates:
        for name, workload in workloads.items():
            full = _full(engine, workload, plan)
            if full is None:
                continue
            given[name] = full
            if rate is not None:
                promised = replica.targets(plan.objectives)
                needs[name] = loads.replicas(engine, workload, rate, promised)
            price = _token_price(plan, workload, full, needs.get(name), rate)
            if price is not None:
                tokens[name] = price
    bound = {
        name: one
        for name, each in workloads.items()
        if not refuses(plan, each) and (one := triggers(plan, each))
    }
    money, start = cost(plan, stored=stored), _start(plan, stored)
    return Forecast(plan, workloads, money, needs, tokens, given, bound, start)


def _judged(plan: plans.Plan) -> loads.Engine | None:
    """Returns one replica, or None where it cannot serve or nobody knows its times."""
    if not _fits(plan) or _untimed_slice(plan):
        return None
    return replica.judged(plan.serving.outlook, plan.hardware.split)


def _fits(plan: plans.Plan) -> bool:
    """Whether the model fits, or may: what does not has neither times nor requests at a time."""
    outlook = plan.serving.outlook
    answer = None if outlook is None else outlook.fit
    return answer is None or answer.verdict is not fit.Verdict.TOO_LARGE


def _untimed_slice(plan: plans.Plan) -> bool:
    """Whether its GPU is a part of one (MIG) whose own speed the class does not state."""
    gpu = plan.hardware.gpu
    return plan.hardware.sliced and (gpu.bandwidth_gb is None or gpu.tflops16 is None)


def _token_price(
    plan: plans.Plan,
    workload: loads.Workload,
    full: loads.Load,
    needed: loads.Replicas | None,
    rate: float | None,
) -> TokenPrice | None:
    """Returns what tokens cost, or None without a price or without replicas that are enough."""
    price = prices.tariff(plan.site, plan.hardware.priced_as)
    if price is None or (rate is not None and needed is None):
        return None
    hour = price.gpu_hour * plan.hardware.gpus
    apart = _apart(hour, workload, full)
    if rate is None or needed is None:
        slow, best, fast = (
            prices.per_million_tokens(hour, tokens)
            for tokens in (full.tokens.low, full.tokens.best, full.tokens.high)
        )
        return TokenPrice(fast, best, slow, price.currency, None, apart)
    tokens = rate * (workload.prompt + workload.output)
    return TokenPrice(
        prices.per_million_tokens(hour * needed.low, tokens),
        prices.per_million_tokens(hour * needed.best, tokens),
        None if needed.high is None else prices.per_million_tokens(hour * needed.high, tokens),
        price.currency,
        rate,
        apart,
    )


def _apart(hour: prices.Money, workload: loads.Workload, full: loads.Load) -> Apart:
    return Apart(
        prices.of_time(hour, full.prompt.best, workload.prompt),
        prices.of_time(hour, full.answer.best, workload.output),
    )


@memo.per_plan
def tokens_apart(plan: plans.Plan) -> Mapping[str, Apart]:
    """Returns what prompts and answers cost where a replica is full, by the name of the workload.

    Empty where the class has no price or nobody knows times, and without workloads whose requests
    are longer than the context.
    """
    price = prices.tariff(plan.site, plan.hardware.priced_as)
    engine = _judged(plan) if plan.serving.generates and price is not None else None
    if engine is None or price is None or plan.hardware.gpus == 0:
        return {}
    hour = price.gpu_hour * plan.hardware.gpus
    given = {name: _full(engine, each, plan) for name, each in loads.WORKLOADS.items()}
    return {
        name: _apart(hour, loads.WORKLOADS[name], full)
        for name, full in given.items()
        if full is not None
    }


@dataclasses.dataclass(frozen=True)
class Kept:
    """The GPUs of pods that go on running though the claim now asks for others.

    Attributes:
        class_name: Their class.
        gpus: GPUs of one replica.
    """

    class_name: str
    gpus: int


def untimed(plan: plans.Plan, workload: loads.Workload) -> str:
    """Returns why nobody can tell how fast a claim answers, or an empty text where one can."""
    outlook, split = plan.serving.outlook, plan.hardware.split
    if outlook is not None and refuses(plan, workload):
        return (
            f"such requests are refused: longer than the context of {outlook.flags.context} tokens"
        )
    if outlook is not None and outlook.fit is not None and not split.timed:
        return "nobody measured times of a replica of several stages, copies or pods"
    if outlook is None or not _fits(plan) or replica.judged(outlook, split) is None:
        return ""
    if not plan.serving.generates:
        return "not told for a model that generates nothing"
    at = plan.hardware.setting
    if outlook.prospect.card is not None and _untimed_slice(plan):
        return (
            f"nobody knows how fast a slice of {outlook.prospect.card.name} is: set"
            f" {at}.bandwidthGB and {at}.tflops16"
        )
    if outlook.prospect.card is not None and not outlook.prospect.card.timed:
        return (
            f"nobody knows how fast {outlook.prospect.card.name} is: set {at}.product, or"
            f" {at}.bandwidthGB and {at}.tflops16"
        )
    return ""


def refuses(plan: plans.Plan, workload: loads.Workload) -> bool:
    """Returns whether requests are longer than the context: the engine answers them with 400."""
    outlook = plan.serving.outlook
    if outlook is None or not plan.serving.generates:
        return False
    return workload.prompt + workload.output > outlook.flags.context


def cost(
    plan: plans.Plan,
    replicas: int | None = None,
    kept: Kept | None = None,
    stored: Collection[str] = (),
) -> prices.Cost | None:
    """Returns what a claim's GPUs cost in an hour, or None where the class has no price.

    The arguments are those of `asked`.
    """
    claim = asked(plan, replicas, kept, stored)
    price = prices.tariff(plan.site, claim.class_name)
    return None if price is None or claim.without_gpu else prices.hourly(claim, price)


def asked(
    plan: plans.Plan,
    replicas: int | None = None,
    kept: Kept | None = None,
    stored: Collection[str] = (),
) -> prices.Claim:
    """Returns the GPUs that a claim asks for, the one place that says so.

    None when it is suspended, fits nowhere, or waits for weights that no download can bring. Pods
    that keep their template keep their GPUs.

    Args:
        plan: The claim, planned.
        replicas: How many run or start now, or None when nobody looked.
        kept: What goes on running though the plan is another, or None.
        stored: The directories of weights that lie on the volume, as the status records them.
    """
    waits = plan.undelivered and plan.storage.recorded(plan.storage.base) not in stored
    stopped = plan.suspended or ((plan.misfit is not None or waits) and kept is None)
    return prices.Claim(
        plan.identity.name,
        plan.hardware.priced_as if kept is None else kept.class_name,
        plan.hardware.gpus if kept is None else kept.gpus,
        0 if stopped else plan.scaling.minimum,
        0 if stopped else plan.scaling.maximum,
        replicas,
    )


def _full(engine: loads.Engine, workload: loads.Workload, plan: plans.Plan) -> loads.Load | None:
    """Returns what a full replica gives; None where requests are longer than the context."""
    if refuses(plan, workload):
        return None
    room = engine.room(workload)
    return loads.load(engine, workload, room) if room > 0 else None


def triggers(plan: plans.Plan, workload: loads.Workload) -> thresholds.Binding | None:
    """Returns which trigger fires first for such requests, by the best estimate of the cache.

    Args:
        plan: The claim, planned.
        workload: The requests.

    Returns:
        None where nobody knows, or where nothing stays in a KV cache.
    """
    outlook = plan.serving.outlook
    if not plan.serving.generates or not _fits(plan):
        return None
    if outlook is None or outlook.fit is None or outlook.fit.tokens.best <= 0:
        return None
    return binding(plan, outlook.flags, outlook.fit.tokens.best, workload)


def binding(
    plan: plans.Plan,
    flags: arrangements.Arrangement,
    cache_tokens: float,
    workload: loads.Workload,
) -> thresholds.Binding:
    """Returns which trigger fires first for such requests.

    Args:
        plan: The claim, planned.
        flags: The engine's flags that decide about memory.
        cache_tokens: Tokens that the KV cache of a replica holds.
        workload: The requests; those that are longer than the context count as long as that.
    """
    scale = plan.scaling

    def number(text: str | None) -> float | None:
        return None if text is None else float(text)

    targets = thresholds.Targets(
        number(scale.running_target(plan.serving.max_requests)),
        number(scale.kv_usage),
        number(scale.queue),
    )
    tokens = workload.held(flags.context)
    return thresholds.binding(targets, flags.sequences, cache_tokens, tokens, flags.context)


def _start(plan: plans.Plan, stored: Collection[str]) -> starts.Timeline:
    if plan.misfit is not None:
        return starts.Timeline(())
    outlook, model = plan.serving.outlook, plan.prospect.model
    size: float | None = plan.spec.model.size_gi_b
    if size is None:
        size = prospects.size_gib(plan.prospect)
    rate, setting = storage.read_rate(plan.spec, plan.site)
    origin = plan.storage.base.origin
    return starts.timeline(
        starts.Given(
            layers=None if model is None else model.layers,
            experts=model is not None and model.experts > 0,
            checkpoint_gib=size,
            tensor_parallel=max(plan.hardware.split.copy, 1),
            eager=outlook is not None and outlook.flags.eager,
            downloaded=origin is not storage.Origin.HUB or _base(plan) in stored,
            weights_pull=origin is storage.Origin.IMAGE,
            weights_pull_mib=plan.site.weights.image_pull_mi_b,
            volume_mib=rate,
            volume_setting=setting,
            timed=outlook is not None,
            on_gpus=not plan.hardware.without_gpu,
        )
    )


def _base(plan: plans.Plan) -> str:
    return plan.storage.recorded(plan.storage.base)


def seconds(estimate: estimates.Estimate) -> str:
    """Returns a time in words, such as `1 to 3 min`."""
    low, high = estimate.low, estimate.high
    if high < 90:
        return f"{low:.0f} to {high:.0f} s"
    if low < 30:
        return f"{low:.0f} s to {high / 60:.0f} min"
    return f"{low / 60:.0f} to {high / 60:.0f} min"
