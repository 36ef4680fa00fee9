package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	lambdasim "github.com/mailtrail/mailtrail/sim/lambda"
)

const (
	starts      = 15
	invocations = 500
	module      = "github.com/mailtrail/mailtrail/"
)

// functions measures the overhead of the built functions: their size, the time from the start of the search function's
// process to its first request for an event, compared with a function that does nothing, and the time that a warm one
// takes to refuse a request without a credential, which touches no table.
func functions(ctx context.Context, r *report) error {
	dir, err := os.MkdirTemp("", "mailtrail-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"consent", "connections", "census", "poll", "ingest", "enrich", "search"} {
		if err := zipped(ctx, r, dir, name); err != nil {
			return err
		}
	}
	search, empty := filepath.Join(dir, "search"), filepath.Join(dir, "empty")
	if err := errors.Join(build(ctx, search, "functions/search"), build(ctx, empty, "proof/bench/empty")); err != nil {
		return err
	}
	return errors.Join(coldStart(ctx, r, search, empty), warm(ctx, r, search))
}

// build builds a function with the flags that we ship it with, for this machine unless the environment names another.
func build(ctx context.Context, binary, folder string, env ...string) error {
	cmd := exec.CommandContext(ctx, "functions/flags", "go", "build", "-o", binary, module+folder)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %.500s", folder, err, out)
	}
	return nil
}

// zipped measures a function's deployment package for the processors that the template asks for.
func zipped(ctx context.Context, r *report, dir, name string) error {
	binary := filepath.Join(dir, name+"-arm64")
	if err := build(ctx, binary, "functions/"+name, "GOOS=linux", "GOARCH=arm64"); err != nil {
		return err
	}
	in, err := os.Open(binary)
	if err != nil {
		return err
	}
	defer in.Close()
	var size counter
	archive := zip.NewWriter(&size)
	out, err := archive.Create("bootstrap")
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return r.below("functions."+name+".zip", float64(size)/1e6, "MB", 6)
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// environment returns the variables that the search function needs to start. The resources in it do not exist, and are
// not called.
func environment() map[string]string {
	return map[string]string{
		"TABLE_CONNECTIONS": "connections", "TABLE_BLOBS": "blobs", "TABLE_EVENTS": "events", "TABLE_PEOPLE": "people",
		"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none",
	}
}

func coldStart(ctx context.Context, r *report, search, empty string) error {
	var ours, least []float64
	for range starts {
		for binary, times := range map[string]*[]float64{search: &ours, empty: &least} {
			begin := time.Now()
			f, err := lambdasim.Start(ctx, lambdasim.Function{Binary: binary, Env: environment()})
			if err != nil {
				return err
			}
			*times = append(*times, time.Since(begin).Seconds()*1000)
			f.Close()
		}
	}
	return errors.Join(
		r.tell("functions.search.cold_start", median(ours),
			"ms from the start of the process to the first question for an event"),
		r.tell("functions.empty.cold_start", median(least), "ms, a function that does nothing"),
		r.below("functions.search.cold_start_ratio", median(ours)/median(least), "x a function that does nothing", 3),
	)
}

func warm(ctx context.Context, r *report, search string) error {
	f, err := lambdasim.Start(ctx, lambdasim.Function{Binary: search, Env: environment()})
	if err != nil {
		return err
	}
	defer f.Close()
	event, err := os.ReadFile("events/http-unknown-route.json")
	if err != nil {
		return fmt.Errorf("run this from the root of the repository: %w", err)
	}
	var times []float64
	for range invocations {
		begin := time.Now()
		if _, err := f.Invoke(ctx, event); err != nil {
			return err
		}
		times = append(times, time.Since(begin).Seconds()*1000)
	}
	return r.below("functions.search.warm", median(times), "ms for an invocation that touches no table", 2)
}
