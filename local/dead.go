package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mailtrail/mailtrail/local/operator"
)

func (p *program) deadCommand() *cobra.Command {
	c := group(&cobra.Command{
		Use: "dead", Short: "List, retry and drop dead letters",
		Long: `A dead letter is work that failed as often as its queue allows: a blob that could not be read, or a message
whose recipients and hashes could not be looked for. The log says why. When the cause is mended, retry it.`,
	})
	c.AddCommand(p.deadList(), p.deadRetry(), p.deadDrop())
	return c
}

// deadLetter is a dead letter as the API shows it.
type deadLetter struct {
	ID, Connection string
	Receives       int
	Sent, Died     time.Time
	Body           json.RawMessage
}

func (p *program) deadList() *cobra.Command {
	var queue string
	c := &cobra.Command{
		Use: "list", Short: "List the dead letters", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			path := "/v1/dead"
			if queue != "" {
				path += "?queue=" + url.QueryEscape(queue)
			}
			return p.at(c.Context(), func(desk *operator.Desk) error { return p.listDead(c.Context(), desk, path) })
		},
	}
	c.Flags().StringVar(&queue, "queue", "", "only those of this `queue`: blobs or messages")
	return c
}

func (p *program) listDead(ctx context.Context, desk *operator.Desk, path string) error {
	table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	n := 0
	err := pages(ctx, desk, path, func(page struct{ Letters []deadLetter }) {
		for _, l := range page.Letters {
			if n++; n == 1 {
				fmt.Fprintln(table, "LETTER\tCONNECTION\tSENT\tDIED\tRECEIVES\tBODY")
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\n", l.ID, l.Connection, l.Sent.UTC().Format("2006-01-02 15:04:05"),
				l.Died.UTC().Format("2006-01-02 15:04:05"), l.Receives, l.Body)
		}
	})
	if err != nil {
		return err
	}
	if n == 0 {
		p.printf("There are no dead letters.\n")
	}
	return table.Flush()
}

func (p *program) deadRetry() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "retry LETTER... | --all",
		Short: "Put dead letters back on their queues",
		Args:  func(_ *cobra.Command, args []string) error { return someOrAll(args, all) },
		RunE: func(c *cobra.Command, args []string) error {
			return p.at(c.Context(), func(desk *operator.Desk) error {
				if all {
					return p.retryAll(c.Context(), desk)
				}
				return p.each(args, "Put back", func(id string) error {
					return desk.Ask(c.Context(), http.MethodPost, "/v1/dead/"+url.PathEscape(id)+"/retry", nil, nil)
				})
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "retry all dead letters")
	return c
}

func someOrAll(args []string, all bool) error {
	switch {
	case len(args) == 0 && !all:
		return usage(errors.New("name the letters to retry, or use --all"))
	case len(args) > 0 && all:
		return usage(errors.New("name letters, or use --all, not both"))
	}
	return nil
}

func (p *program) retryAll(ctx context.Context, desk *operator.Desk) error {
	total := 0
	for more := true; more; {
		var answer struct {
			Retried int
			More    bool
		}
		if err := desk.Ask(ctx, http.MethodPost, "/v1/dead/retry", struct{}{}, &answer); err != nil {
			return err
		}
		total, more = total+answer.Retried, answer.More
	}
	if total == 0 {
		p.printf("There are no dead letters to retry.\n")
		return nil
	}
	p.printf("Put back %s.%s\n", plural(total, "dead letter"), afterwards(desk))
	return nil
}

func (p *program) deadDrop() *cobra.Command {
	return &cobra.Command{
		Use: "drop LETTER...", Short: "Delete dead letters",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(errors.New("name the letters to drop"))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return p.at(c.Context(), func(desk *operator.Desk) error {
				return p.each(args, "Dropped", func(id string) error {
					return desk.Ask(c.Context(), http.MethodDelete, "/v1/dead/"+url.PathEscape(id), nil, nil)
				})
			})
		},
	}
}

// each does something to every letter, and says so; one that fails does not keep the others from it.
func (p *program) each(ids []string, did string, do func(id string) error) error {
	var failed []error
	for _, id := range ids {
		if err := do(id); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", id, err))
			continue
		}
		p.printf("%s %s.\n", did, id)
	}
	return errors.Join(failed...)
}

// afterwards says when work that was put back is done.
func afterwards(desk *operator.Desk) string {
	if desk.Running {
		return ""
	}
	return " They are tried when Mailtrail starts."
}
