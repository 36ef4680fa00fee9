package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mailtrail/mailtrail/local/operator"
)

// again is what an operator wants to be looked for.
type again struct {
	Reasons []string   `json:"reasons"`
	From    *time.Time `json:"from"`
	To      *time.Time `json:"to"`
}

func (p *program) enrichCommand() *cobra.Command {
	var reasons []string
	var from, to string
	c := &cobra.Command{
		Use: "enrich CONNECTION", Short: "Look again, at once, for recipients and hashes that are missing",
		Long: `Recipients and hashes that could not be found are looked for again by themselves, at growing distances. When
what kept them from being found is mended, this asks for it at once. CONNECTION is an id or a display name.`,
		Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			ask := again{}
			for _, reason := range reasons {
				ask.Reasons = append(ask.Reasons, strings.ToUpper(reason))
			}
			for _, flag := range []struct {
				name, text string
				to         **time.Time
			}{{"from", from, &ask.From}, {"to", to, &ask.To}} {
				if flag.text == "" {
					continue
				}
				at, err := moment(flag.text)
				if err != nil {
					return usage(fmt.Errorf("--%s: %w", flag.name, err))
				}
				*flag.to = &at
			}
			return p.at(c.Context(), func(desk *operator.Desk) error { return p.again(c.Context(), desk, args[0], ask) })
		},
	}
	flags := c.Flags()
	flags.StringSliceVar(&reasons, "reason", nil, "only what is missing for this `reason`, such as MAILBOX_DENIED")
	flags.StringVar(&from, "from", "", "only of mail sent from this `time` on")
	flags.StringVar(&to, "to", "", "only of mail sent before this `time`")
	return c
}

// moment reads a day or a time of RFC 3339.
func moment(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, errors.New("give a day, as 2026-11-30, or a time, as 2026-11-30T08:00:00Z")
}

func (p *program) again(ctx context.Context, desk *operator.Desk, name string, ask again) error {
	names, err := connectionNames(ctx, desk)
	if err != nil {
		return err
	}
	id, err := connectionID(names, name)
	if err != nil {
		return err
	}
	var request struct{ ID string }
	if err := desk.Ask(ctx, http.MethodPost, "/v1/connections/"+url.PathEscape(id)+"/enrich", ask, &request); err != nil {
		return err
	}
	when := "within a minute"
	if !desk.Running {
		when = "when Mailtrail starts"
	}
	p.printf("Asked (request %s): what is missing of %s is looked for %s.\n", request.ID, names[id], when)
	return nil
}
