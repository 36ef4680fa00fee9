package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/mailtrail/mailtrail/local/demo"
	"github.com/mailtrail/mailtrail/local/exported"
	"github.com/mailtrail/mailtrail/shared/audit"
)

// summary describes a start: printed for people, and as run.json in the data folder for programs.
type summary struct {
	API          string   `json:"api"`
	Console      string   `json:"console"`
	Control      string   `json:"control,omitempty"` // of the simulated Microsoft 365
	ClientID     string   `json:"clientId"`
	ClientSecret string   `json:"clientSecret,omitempty"` // left out when the client was removed
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

// announce writes run.json, is ready from then on, and prints the summary.
func (s *session) announce(of summary, client credential, text string) error {
	of.API, of.Console, of.ClientID, of.ClientSecret = s.Base, s.Base+"/", client.id, client.secret
	b, err := json.MarshalIndent(of, "", "  ")
	if err != nil {
		return err
	}
	name := filepath.Join(s.Data, runFile)
	if err := replace(name, append(b, '\n')); err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	s.ready.Store(true)
	t, err := template.New("summary").Parse(text + commonText)
	if err != nil {
		return err
	}
	file := filepath.Join(s.Data, clientFile)
	return t.Execute(s.out, struct {
		summary
		Data, RunFile, Listens, ClientFile, Quoted, Log, Command string
		// ShowSecret: the secret is printed once. If Mailtrail talks to Microsoft, it is printed to a terminal only: anything
		// else may be a journal that others read.
		ShowSecret bool
	}{
		of, s.Data, name, s.Addr, file, quoted(file), filepath.Join(s.Data, logName), os.Args[0],
		client.fresh && (s.microsoft == nil || s.terminal),
	})
}

// quoted is a file name as a shell takes it.
func quoted(name string) string { return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'" }
