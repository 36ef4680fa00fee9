// Command bench measures speed and memory, and prints one JSON object a line: name, value, unit, goal, ok. Machines
// differ, so each speed is a ratio to a baseline that was measured in the same run; absolute figures are printed with
// it.
//
// Each scenario runs in a process of its own, so that its memory and processor time are its own.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
)

// scenario measures one thing.
type scenario struct {
	name string
	run  func(ctx context.Context, r *report) error
}

func scenarios() []scenario {
	return []scenario{
		{"reader", reader},
		{"reader-memory", readerMemory},
		{"ingest-1000", func(ctx context.Context, r *report) error { return ingest(ctx, r, shape{130, 1000, 0}) }},
		{"ingest-250", func(ctx context.Context, r *report) error { return ingest(ctx, r, shape{260, 250, 0}) }},
		{"ingest-1000-50ms", func(ctx context.Context,
			r *report) error {
			return ingest(ctx, r, shape{130, 1000, withLatency})
		}},
		{"ingest-250-50ms", func(ctx context.Context,
			r *report) error {
			return ingest(ctx, r, shape{260, 250, withLatency})
		}},
		{"enriched", enriched},
		{"latency", latency},
		{"poller", poller},
		{"functions", functions},
		{"hash", hash},
		{"mailboxes", fullSpeed},
		{"batch", batched},
		{"backlog", backlog},
		{"census", census},
		{"cost", cost},
		{"search-10k", func(ctx context.Context, r *report) error { return searching(ctx, r, 10_000) }},
		{"search-100k", func(ctx context.Context, r *report) error { return searching(ctx, r, 100_000) }},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// long lists scenarios that take many minutes: they run only when they are named.
func long() []scenario {
	return []scenario{
		{"search-1m", func(ctx context.Context, r *report) error { return searching(ctx, r, 1_000_000) }},
	}
}

// run measures the scenarios named, or all but the long ones, each in a child of this program.
func run(ctx context.Context, args []string) error {
	if len(args) == 2 && args[0] == "-child" {
		switch args[1] {
		case "serve-hash":
			return serveMail(ctx, tenLarge())
		case "serve-mailboxes":
			return serveMail(ctx, fullMailboxes())
		case "serve-directory":
			return serveDirectory(ctx, os.Stdin, os.Stdout)
		}
		for _, s := range append(scenarios(), long()...) {
			if s.name == args[1] {
				return s.run(ctx, &report{out: os.Stdout})
			}
		}
		return fmt.Errorf("there is no scenario %q", args[1])
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	all := scenarios()
	if len(args) > 0 {
		all = append(all, long()...)
	}
	for _, name := range args {
		if !slices.ContainsFunc(all, func(s scenario) bool { return s.name == name }) {
			return fmt.Errorf("there is no scenario %q", name)
		}
	}
	for _, s := range all {
		if len(args) > 0 && !slices.Contains(args, s.name) {
			continue
		}
		child := exec.CommandContext(ctx, self, "-child", s.name)
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Run(); err != nil {
			return fmt.Errorf("scenario %s: %w", s.name, err)
		}
	}
	return nil
}
