"""One Envoy with the cluster's DNS, a metrics server, and the claims behind it."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import pathlib
import re
import types
from collections.abc import Callable, Iterable, Iterator, Sequence

from e2e.controlplane import api, metrics, process
from e2e.drain import clock as clocks
from e2e.drain import gateway as gateways
from e2e.drain import kubelet as kubelets
from e2e.gateway import names, proxy, service, translation
from function.planning import identity

# Seconds between two scrapes on the reference platform.
SCRAPE_SECONDS = 30
_WINDOW = re.compile(r"\[(\d+)m\]")


@dataclasses.dataclass
class Claim:
    """A claim that the gateway serves.

    Attributes:
        objects: The rendered objects of the claim.
        pods: Returns the ready pods of the claim, the newest last.
        requests: The requests that clients sent to the claim.
    """

    objects: Sequence[api.Object]
    pods: Callable[[], Sequence[kubelets.Pod]] = tuple
    requests: list[gateways.Request] = dataclasses.field(default_factory=list)

    def one(self, kind: str) -> api.Object:
        """The only rendered object of a kind."""
        (item,) = [one for one in self.objects if one["kind"] == kind]
        return item

    @property
    def name(self) -> str:
        """Its name, which is the model's."""
        return str(self.one("Deployment")["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.one("Deployment")["metadata"]["namespace"])

    @property
    def host(self) -> str:
        """The host that the claim's Backend names."""
        (own,) = [
            one
            for one in self.objects
            if one["kind"] == "Backend" and one["metadata"]["name"] == f"{self.name}-direct"
        ]
        (endpoint,) = own["spec"]["endpoints"]
        return str(endpoint["fqdn"]["hostname"])

    def hosts(self) -> tuple[str, str]:
        """The names of its ClusterIP Service and of its headless one."""
        domain = f"{self.namespace}.svc.cluster.local"
        headless = identity.Identity(self.name, "llm", {}).pods_name
        return f"{self.name}.{domain}", f"{headless}.{domain}"

    def wake_query(self, speed: float) -> str:
        """The query by which KEDA wakes the claim, with its windows divided by ``speed``."""
        triggers = self.one("ScaledObject")["spec"]["triggers"]
        (query,) = [one["metadata"]["query"] for one in triggers if one.get("name") == "wake"]
        return _WINDOW.sub(lambda match: f"[{int(match[1]) * 60 / speed:g}s]", query)


class Stage:
    """Envoy, the cluster's DNS, a metrics server and Services; an asynchronous context manager.

    Attributes:
        clock: How fast time passes.
        names: The cluster's DNS.
        port: What Services and pods listen on.
        envoy: The gateway's proxy.
        metrics: The metrics server that scrapes Envoy.
    """

    def __init__(self, work: pathlib.Path, clock: clocks.Clock, claims: Iterable[Claim]) -> None:
        """Describe it.

        Args:
            work: For configuration, data and logs.
            clock: How fast time passes.
            claims: The claims that the gateway routes to.
        """
        self.clock = clock
        self.names = names.Names(clock)
        self._work = work
        self._claims = list(claims)
        (self.port,) = process.free_ports(1)
        # On Linux every address of 127.0.0.0/8 works without configuration.
        self._addresses = (f"127.77.{n // 250}.{n % 250 + 1}" for n in itertools.count())
        self._services: list[service.Service] = []
        self._published: dict[str, list[api.Object]] = {}
        self.envoy: proxy.Proxy
        self.metrics: metrics.MetricsServer

    async def __aenter__(self) -> Stage:
        """Start everything, with no pod behind any claim."""
        for one in self._claims:
            await self._add_names(one)
        await self.names.start()
        self.envoy = proxy.Proxy(
            self._work,
            resolver=self.names.port,
            routes=[route for one in self._claims for route in self._translated(one).routes],
            interval=SCRAPE_SECONDS / self.clock.speed,
        )
        self.metrics = metrics.MetricsServer(self._work, self._work, self.envoy.discovery)
        self.publish(*self._claims)
        try:
            await asyncio.to_thread(self.envoy.process.start)
            await asyncio.to_thread(self.metrics.process.start)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def _add_names(self, claim: Claim) -> None:
        """Add the names of a claim's two Services to DNS, and start the ClusterIP Service."""
        balanced = service.Service(
            next(self._addresses), self.port, lambda: claim.pods(), self.clock
        )
        self._services.append(balanced)
        await balanced.start()
        by_service, by_pods = claim.hosts()
        self.names.add(by_service, lambda: [balanced.address])
        self.names.add(by_pods, lambda: [pod.address for pod in claim.pods()])

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        """Stop everything."""
        await asyncio.to_thread(self.metrics.process.stop)
        await asyncio.to_thread(self.envoy.process.stop)
        await asyncio.gather(*(one.stop() for one in self._services))
        await self.names.stop()

    def kubelet(self, command: kubelets.Command, logs: pathlib.Path) -> kubelets.Kubelet:
        """A node whose pods listen on the Backend's port, each with an address of its own."""
        return kubelets.Kubelet(
            self.clock, command, logs, lambda: (next(self._addresses), self.port)
        )

    def publish(self, *claims: Claim) -> None:
        """Give Envoy the clusters of some claims' objects, as the gateway's controllers do."""
        self._published |= {one.name: self._translated(one).clusters for one in claims}
        self.envoy.configure(
            [cluster for clusters in self._published.values() for cluster in clusters]
        )

    def _translated(self, one: Claim) -> translation.Translation:
        return translation.translate(one.objects, speed=self.clock.speed, port=self.port)

    async def send(
        self, claim: Claim, tokens: int, *, listener: str = "default", padding: int = 0
    ) -> gateways.Request:
        """Send a request through Envoy and read its answer to the end."""
        request = gateways.Request(tokens, port=self.envoy.ports[listener], begun=self.clock.now())
        claim.requests.append(request)
        await gateways.ask(request, claim.name, self.clock, padding=padding)
        request.ended = self.clock.now()
        return request

    async def reached(self, claim: Claim) -> None:
        """Send requests until one is answered, and remove these requests from ``requests``."""
        while not (await self.send(claim, 1)).done:
            await self.clock.sleep(1)
        claim.requests.clear()

    async def value(self, query: str) -> float:
        """The value of a query, which must give one number, as KEDA demands."""
        (value,) = await asyncio.to_thread(self.metrics.query, query)
        return value

    async def until(self, query: str, holds: Callable[[float], bool], timeout: float) -> float:
        """Wait until a query's value fulfils a condition, and return the seconds of the wait.

        Args:
            query: A query for the metrics server.
            holds: Whether a value fulfils the condition.
            timeout: Seconds of the cluster.

        Raises:
            TimeoutError: No value fulfilled the condition in time.
        """
        begun = self.clock.now()
        while not holds(await self.value(query)):
            if self.clock.now() > begun + timeout:
                message = f"waited {timeout:g} s for another value of {query}"
                raise TimeoutError(message)
            await self.clock.sleep(1)
        return self.clock.now() - begun

    def statistic(self, claim: Claim, name: str) -> int:
        """One of Envoy's own counters of the claim's first cluster; 0 before its first request."""
        prefix = f"cluster.httproute/{claim.namespace}/{claim.name}/rule/0.{name}: "
        values: Iterator[int] = (
            int(line.removeprefix(prefix))
            for line in self.envoy.show("/stats").splitlines()
            if line.startswith(prefix)
        )
        return next(values, 0)
