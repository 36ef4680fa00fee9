// Command keep creates the store of a release, for the tests of later releases to open:
//
//	go run ./proof/keep 0.1.0 5d45e87
//
// It builds that commit in a worktree, lets it follow its simulated company for a minute, queries it as an analyst and
// an administrator would, stops it, and packs its store and the answers into
// local/machine/testdata/stores/0.1.0.tar.gz. The file of a release stays for ever, and later code must be able to read
// it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"time"
)

const (
	stores = "local/machine/testdata/stores"
	// past is how much of the company's past is in the store. An hour would make a file of half a megabyte.
	past = 12 * time.Minute
	// history is how far before its beginning a simulated company's audit log goes back.
	history = time.Hour
	// patience allows for a busy machine.
	patience = 10 * time.Minute
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) != 3 || !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(os.Args[1]) {
		fmt.Fprintln(os.Stderr, "usage: keep RELEASE COMMIT")
		os.Exit(2)
	}
	if err := keep(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "keep:", err)
		os.Exit(1)
	}
}

func keep(ctx context.Context, release, commit string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dir, err := os.MkdirTemp("", "keep")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, err := build(ctx, dir, commit)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if err := begin(data); err != nil {
		return err
	}
	answers, err := live(ctx, binary, data)
	if err != nil {
		return err
	}
	answers.Release = release
	return pack(filepath.Join(stores, release+".tar.gz"), filepath.Join(data, "store"), answers)
}

// build builds a commit's product in a worktree of its own, which it removes afterwards.
func build(ctx context.Context, dir, commit string) (binary string, err error) {
	tree := filepath.Join(dir, "tree")
	if err := run(ctx, "", "git", "worktree", "add", "--quiet", "--detach", tree, commit); err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, run(context.WithoutCancel(ctx), "", "git", "worktree", "remove", "--force", tree))
	}()
	binary = filepath.Join(dir, "mailtrail")
	return binary, run(ctx, tree, "go", "build", "-o", binary, "./local")
}

func run(ctx context.Context, dir, name string, args ...string) error {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %w\n%s", name, args, err, out)
	}
	return nil
}

// begin creates a data folder whose company began long enough ago that its past is short.
func begin(data string) error {
	state, err := json.Marshal(map[string]any{
		"source": "company", "protocol": "127.0.0.1:0", "control": "127.0.0.1:0", "clientSecret": "invented",
		"since": time.Now().UTC().Add(history - past).Truncate(time.Second),
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(data, "simulated.json"), state, 0o600)
}
