// Command assay carries a model through its whole life and proves each step.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/assay-ml/assay/internal/cli"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		first := <-stop
		cancel()
		<-stop
		os.Exit(128 + int(first.(syscall.Signal)))
	}()
	os.Exit(cli.Main(ctx, os.Args[1:], cli.System()))
}
