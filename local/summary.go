package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/template"

	"github.com/mailtrail/mailtrail/local/demo"
	"github.com/mailtrail/mailtrail/local/exported"
	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/audit"
)

// summary is what a start tells: printed for people, and as run.json in the data folder for programs.
type summary struct {
	API          string   `json:"api"`
	Console      string   `json:"console"`
	Control      string   `json:"control,omitempty"` // of the simulated Microsoft 365
	ClientID     string   `json:"clientId"`
	ClientSecret string   `json:"clientSecret"`
	Records      *records `json:"records,omitempty"`
	People       *covered `json:"people,omitempty"`
}

// covered says who is in the simulated company, and whose mail is recorded.
type covered struct {
	Connection string           `json:"connection"`
	People     int64            `json:"people"`
	ByCoverage map[string]int64 `json:"byCoverage"`
}

// records says what came of an exported audit log.
type records struct {
	File       string `json:"file"`
	Form       string `json:"form"`
	Records    int    `json:"records"`    // that could be read from the file
	Sends      int64  `json:"sends"`      // of mail with attachments
	Repeated   int64  `json:"repeated"`   // sends that the file holds more than once
	Noise      int64  `json:"noise"`      // sharing notifications, which are no mail of a user's
	Messages   int64  `json:"messages"`   // different mails that were sent
	Events     int64  `json:"events"`     // their attachments
	Unreadable int    `json:"unreadable"` // lines that could not be read
	Lines      []int  `json:"lines"`      // the numbers of the first hundred of these
	Rejected   int64  `json:"rejected"`   // records that lack what every record has, kept with the reason

	problems []exported.Problem
}

func tell(e *demo.Export, sums audit.Sums) *records {
	r := &records{
		File: e.File, Form: string(e.Summary.Form), Records: e.Summary.Records,
		Sends: sums.Tally.Sends, Repeated: sums.Tally.Repeated, Noise: sums.Tally.Noise,
		Messages: sums.Tally.Messages, Events: sums.Tally.Events,
		Unreadable: e.Summary.Unreadable, Lines: []int{}, Rejected: sums.Tally.Unreadable,
		problems: e.Summary.Problems,
	}
	for _, p := range e.Summary.Problems {
		r.Lines = append(r.Lines, p.Line)
	}
	return r
}

// Problems are the unreadable lines with their reasons.
func (r *records) Problems() []exported.Problem { return r.problems }

const runFile = "run.json"

// announce writes run.json and then prints the summary.
func (s *session) announce(told summary, text string) error {
	b, err := json.MarshalIndent(told, "", "  ")
	if err != nil {
		return err
	}
	name := filepath.Join(s.Data, runFile)
	if err := os.WriteFile(name+".new", append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	t, err := template.New("summary").Parse(text + commonText)
	if err != nil {
		return err
	}
	return t.Execute(s.out, struct {
		summary
		Data, RunFile, Listens string
	}{told, s.Data, name, s.Addr})
}

// credential is the API client that the summary names.
type credential struct{ id, secret string }

// client is the API client of the last start, while its secret is still good; otherwise a new one. The secret stands in
// run.json only, which nobody else may read.
func (s *session) client(ctx context.Context) (credential, error) {
	var last summary
	name := filepath.Join(s.Data, runFile)
	b, err := os.ReadFile(name)
	if err == nil {
		// What it says of the last start is not true of this one. A crash before the new one is written costs a new client.
		err = errors.Join(json.Unmarshal(b, &last), os.Remove(name))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("the summary of the last start cannot be read; a new API client is made", "err", err)
	}
	if last.ClientID != "" {
		_, err := s.machine.Clients.Check(ctx, last.ClientID, last.ClientSecret)
		if err == nil {
			return credential{last.ClientID, last.ClientSecret}, nil
		}
		if !errors.Is(err, access.ErrDenied) {
			return credential{}, err
		}
	}
	first := access.NewClient{Name: "local operator", Roles: []access.Role{access.Admin, access.Analyst}}
	client, secret, err := s.machine.ClientAPI.Create(access.With(ctx, access.Caller{ID: localOperator}), first)
	return credential{client.ID, secret}, err
}
