package access

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	usualPage = 100  // entries
	maxPage   = 1000 // entries
	maxToken  = 1360 // characters: what is in it can be part of a key
)

// Page is which page of a list is asked for.
type Page struct {
	After string // the position that the page before ended at; "" is from the start
	Size  int    // 1 to 1000
}

// ReadPage reads the query of a request for a page: pgSize and pgToken, and whatever parameters the list has besides.
// Each may be given once. A function of others takes the value of its parameter, and returns a sentence if it is wrong.
// The error is a *Refused that names every parameter that is wrong or unknown.
func ReadPage(r *http.Request, others map[string]func(value string) (problem string)) (Page, error) {
	page := Page{Size: usualPage}
	var wrong []Problem
	for name, values := range r.URL.Query() {
		problem := ""
		other, known := others[name]
		switch {
		case len(values) > 1:
			problem = "The parameter may be given once."
		case known:
			problem = other(values[0])
		case name == "pgSize":
			problem = page.size(values[0])
		case name == "pgToken":
			problem = page.token(values[0])
		default:
			problem = "The parameter is not known."
		}
		if problem != "" {
			wrong = append(wrong, Problem{name, "INVALID_VALUE", problem})
		}
	}
	if len(wrong) > 0 {
		slices.SortFunc(wrong, func(a, b Problem) int { return strings.Compare(a.Field, b.Field) })
		return Page{}, &Refused{http.StatusBadRequest, wrong}
	}
	return page, nil
}

func (p *Page) size(value string) (problem string) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxPage {
		return "The size of a page must be from 1 to 1000."
	}
	p.Size = n
	return ""
}

const notAToken = "The token must be the nextPgToken of a page."

func (p *Page) token(value string) (problem string) {
	b, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(value) > maxToken || len(b) == 0 || !utf8.Valid(b) {
		return notAToken
	}
	p.After = string(b)
	return ""
}

// PageToken is the token of the page after a position: null for "", which has none.
func PageToken(position string) *string {
	if position == "" {
		return nil
	}
	token := base64.RawURLEncoding.EncodeToString([]byte(position))
	return &token
}
