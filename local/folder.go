package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/mailtrail/mailtrail/local/demo"
	"github.com/mailtrail/mailtrail/local/operator"
)

// folder is the data folder of a command: the one that `mailtrail serve` would use. What is wrong with other settings
// is of no concern to it.
func (p *program) folder() (string, error) {
	c, _ := p.config()
	if c.Data != "" || c.Records == "" {
		return cmp.Or(c.Data, filepath.Join("data", "company")), nil
	}
	export, err := demo.NewExport(c.Records)
	if err != nil {
		return "", err
	}
	return filepath.Join("data", export.Name()), nil
}

// at opens the data folder, or reaches the Mailtrail that runs on it, and does something there.
func (p *program) at(ctx context.Context, do func(*operator.Desk) error) (err error) {
	dir, err := p.folder()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(p.errs, &slog.HandlerOptions{Level: slog.LevelWarn}))
	desk, err := operator.Open(ctx, dir, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, desk.Close()) }()
	return do(desk)
}

func (p *program) printf(format string, args ...any) { fmt.Fprintf(p.out, format, args...) }

// absolute is a folder as a Mailtrail that was started elsewhere understands it.
func absolute(folder string) (string, error) {
	abs, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Dir(abs)); err != nil {
		return "", err
	}
	return abs, nil
}

// plural is n and a noun.
func plural[N int | int64](n N, noun string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
