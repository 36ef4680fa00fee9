// Command local runs Mailtrail on one machine: every agent in one process, over one folder, on one port. Without Microsoft
// credentials it simulates a Microsoft 365 tenant and connects it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "mailtrail:", err)
		os.Exit(1)
	}
}
