// What keeps the namespaces of a pod: it waits to be ended. Upstream's is C, and its image cannot be
// pulled everywhere.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	<-ended
}
