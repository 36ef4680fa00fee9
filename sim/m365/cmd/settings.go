package main

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
	"github.com/mailtrail/mailtrail/sim/m365/company"
)

// settings are the flags of the command.
type settings struct {
	protocol, control string
	seed              uint64
	people            int
	mailsPerHour      int
	noise             int
	officeHours       bool
	hostility         string
	history           time.Duration
	tenant            string
	client            string
	secret            string
	redirect          string
	consented         bool
	json, log         bool
}

// longestHistory is what the activity API lists: content of the last seven days.
const longestHistory = 7 * 24 * time.Hour

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	f := flag.NewFlagSet("m365", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, "m365 starts a simulated Microsoft 365 with a company in it. sim/m365/README.md "+
			"explains it.\n\n")
		f.PrintDefaults()
	}
	f.StringVar(&s.protocol, "addr", "127.0.0.1:8365", "listen on this `address` for Microsoft's protocols (port "+
		"0 picks a free one)")
	f.StringVar(&s.control, "control", "127.0.0.1:8366", "listen on this `address` for the control door, which "+
		"nothing protects")
	f.Uint64Var(&s.seed, "seed", 1, "the `number` that decides the company and every chance")
	f.IntVar(&s.people, "people", 40, "the `number` of ordinary people in the company")
	f.IntVar(&s.mailsPerHour, "mails", 720, "how many mails the company sends an hour, on average")
	f.IntVar(&s.noise, "noise", 35, "how many other records come with each mail, on average; -1 for none")
	f.BoolVar(&s.officeHours, "office-hours", false, "send most mail from 8:00 to 18:00 UTC on weekdays, instead "+
		"of at all hours")
	f.StringVar(&s.hostility, "hostility", "default", "how unkind Microsoft is: calm, default or storm")
	f.DurationVar(&s.history, "history", time.Hour, "how much of the company's past is in the audit log at the "+
		"start, up to 168h")
	f.StringVar(&s.tenant, "tenant", "7b1d5c1e-3f0a-4c55-9d6e-2a8f4e0b9c11", "the `GUID` of the company's tenant")
	f.StringVar(&s.client, "client-id", "c0ffee00-1111-4222-8333-444455556666", "the `GUID` of the collector's "+
		"app registration")
	f.StringVar(&s.secret, "client-secret", "simulated-secret", "its client `secret`")
	f.StringVar(&s.redirect, "redirect", "http://localhost/callback", "its redirect `URI`s for sign-in and "+
		"consent, separated by commas")
	f.BoolVar(&s.consented, "consented", true, "the company's administrator has consented to the app already")
	f.BoolVar(&s.json, "json", false, "print the summary as one line of JSON")
	f.BoolVar(&s.log, "log", false, "log each request to standard error")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	return s, s.check(f.Args())
}

func (s settings) check(rest []string) error {
	_, known := moods()[s.hostility]
	switch {
	case len(rest) > 0:
		return fmt.Errorf("there is nothing to do with %q: the command takes flags alone", strings.Join(rest, " "))
	case !known:
		return fmt.Errorf("-hostility is calm, default or storm, not %q", s.hostility)
	case s.history < 0 || s.history > longestHistory:
		return fmt.Errorf("-history is between 0 and %s, not %s", longestHistory, s.history)
	case s.people < 1 || s.mailsPerHour < 1:
		return fmt.Errorf("-people and -mails are at least 1, not %d and %d", s.people, s.mailsPerHour)
	case s.tenant == "" || s.client == "" || s.secret == "":
		return fmt.Errorf("-tenant, -client-id and -client-secret must not be empty")
	}
	return nil
}

// moods are the hostilities by name.
func moods() map[string]func(seed uint64) m365sim.Options {
	return map[string]func(seed uint64) m365sim.Options{
		"calm": m365sim.Calm,
		"default": func(seed uint64) m365sim.Options {
			o := m365sim.Hostile(seed)
			o.StrictPublisher = false // many collectors never send a publisher
			return o
		},
		"storm": m365sim.Storm,
	}
}

func (s settings) options(stderr io.Writer) m365sim.Options {
	o := moods()[s.hostility](s.seed)
	if s.log {
		o.Log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return o
}

func (s settings) company() company.Options {
	o := company.Options{
		Seed: s.seed, TenantID: s.tenant, People: s.people, MailsPerHour: s.mailsPerHour, Noise: s.noise,
		AlwaysOpen: !s.officeHours,
	}
	if s.hostility != "calm" {
		o.Field = company.EveryField()
	}
	return o
}
