package people

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
)

const (
	// MaxUpload is how many bytes an uploaded list may have, and MaxListed how many addresses. Incydr takes 1,000 rows.
	MaxUpload = 8 << 20
	MaxListed = 100_000

	maxProblems = 20   // that one answer names
	maxReported = 1000 // unknown addresses that one answer names
)

// replaceUsers takes a list as CSV with a header that has a column "email", and makes it the list of the scope.
// It answers how many addresses are on it, and which of them the census does not know. Those stay on the list:
// their people may join later.
func (a *API) replaceUsers(w http.ResponseWriter, r *http.Request, c connection.ID) error {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "text/csv" {
		return &access.Refused{Status: http.StatusUnsupportedMediaType, Problems: []access.Problem{
			{Type: "INVALID_CONTENT_TYPE", Description: "The body must be text/csv."},
		}}
	}
	addresses, problems := readList(http.MaxBytesReader(w, r.Body, MaxUpload))
	if len(problems) > 0 {
		status := http.StatusBadRequest
		if problems[0].Type == tooLong {
			status = http.StatusRequestEntityTooLarge
		}
		return &access.Refused{Status: status, Problems: problems}
	}
	if err := a.act(r, "scope.users", c, map[string]any{"addresses": len(addresses)}); err != nil {
		return err
	}
	s, err := a.Roster.ReplaceUsers(r.Context(), c, addresses)
	if err != nil {
		return err
	}
	answer := struct {
		Scope        shownScope `json:"scope"`
		UnknownCount int        `json:"unknownCount"`
		Unknown      []string   `json:"unknown"` // the first 1,000 of them
	}{Scope: showScope(s), Unknown: []string{}}
	for chunk := range slices.Chunk(addresses, 1000) {
		found, err := a.Roster.named(r.Context(), c, chunk)
		if err != nil {
			return err
		}
		for _, address := range chunk {
			if e, ok := found[address]; ok && e.gone.IsZero() {
				continue
			}
			if answer.UnknownCount++; len(answer.Unknown) < maxReported {
				answer.Unknown = append(answer.Unknown, address)
			}
		}
	}
	access.WriteJSON(w, http.StatusOK, answer)
	return nil
}

const tooLong = "TOO_LONG"

// readList reads the addresses of a list, in lower case and each once, or says what is wrong, by line. Other
// columns than "email" are passed over, and so are rows without anything in them.
func readList(body io.Reader) (addresses []string, problems []access.Problem) {
	in := csv.NewReader(body)
	in.FieldsPerRecord, in.ReuseRecord, in.TrimLeadingSpace = -1, true, true
	column := -1
	seen := map[string]bool{}
	for {
		row, err := in.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, unreadableRow(err, problems)
		}
		line, _ := in.FieldPos(0)
		if column < 0 {
			if column = slices.IndexFunc(row, isEmail); column < 0 {
				return nil, []access.Problem{{Field: "line 1", Type: "NO_HEADER",
					Description: `The first row must be a header with a column "email".`}}
			}
			continue
		}
		address := ""
		if column < len(row) {
			address = strings.Clone(Fold(row[column]))
		}
		switch {
		case address == "" && strings.TrimSpace(strings.Join(row, "")) == "":
		case !isAddress(address):
			problems = append(problems, access.Problem{Field: fmt.Sprintf("line %d", line), Type: "INVALID_VALUE",
				Description: "The row has no address in the column \"email\"."})
			if len(problems) == maxProblems {
				return nil, problems
			}
		case !seen[address]:
			if len(seen) == MaxListed {
				return nil, []access.Problem{{Field: fmt.Sprintf("line %d", line), Type: tooLong,
					Description: "A list may have 100,000 addresses."}}
			}
			seen[address] = true
			addresses = append(addresses, address)
		}
	}
	switch {
	case len(problems) > 0:
		return nil, problems
	case column < 0:
		return nil, []access.Problem{{Field: "line 1", Type: "NO_HEADER",
			Description: `The list is empty: the first row must be a header with a column "email".`}}
	case len(addresses) == 0:
		return nil, []access.Problem{{Field: "email", Type: "EMPTY",
			Description: "Nobody is on the list. To monitor everybody, set the scope to all."}}
	}
	return addresses, nil
}

// unreadableRow adds what ended the list to what was wrong before; a list that is too long has no other problem.
func unreadableRow(err error, before []access.Problem) []access.Problem {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return []access.Problem{{Type: tooLong, Description: "A list may have 8 MiB."}}
	}
	var broken *csv.ParseError
	if errors.As(err, &broken) {
		return append(before, access.Problem{Field: fmt.Sprintf("line %d", broken.Line), Type: "INVALID_CSV",
			Description: "The row is no CSV: a quote is not where it may be."})
	}
	return append(before, access.Problem{Type: "UNREADABLE", Description: "The body did not come to its end."})
}

// isEmail recognises the header of the column, which may follow a byte order mark.
func isEmail(s string) bool {
	return strings.EqualFold(strings.TrimSpace(strings.TrimPrefix(s, "\ufeff")), "email")
}

// isAddress accepts what can be an address, whether or not anybody has it.
func isAddress(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	strange := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError }
	return ok && local != "" && domain != "" && len(s) <= maxName && !strings.ContainsFunc(s, strange) &&
		!strings.Contains(domain, "@")
}
