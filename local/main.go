// Command mailtrail is Mailtrail on one machine. `mailtrail serve` runs every agent in one process, over one folder, on
// one port; without Microsoft credentials it simulates a Microsoft 365 tenant and connects it. The other commands look
// after such a folder.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := program{
		environ: os.Environ(), out: os.Stdout, errs: os.Stderr,
		outTerminal: terminal(os.Stdout), errsTerminal: terminal(os.Stderr),
	}
	code := p.execute(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// terminal reports whether a file is a terminal, or another device on which nothing is kept.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
