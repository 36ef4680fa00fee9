package parts

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/settings"
)

// maxBases is how many addresses one function answers under. An HTTP API has one of its own.
const maxBases = 4

// errBase means that a request came to an address that is not ours.
var errBase = errors.New("this is not the address of the HTTP API")

// PerBase builds a handler that knows the address by which browsers reach it, without a trailing slash: the
// configured one, or else the one that API Gateway received the request under. It believes only addresses that API
// Gateway gives to an HTTP API in this region. Any other address, such as the operator's own domain, must be
// configured.
func (p *Parts) PerBase(build func(base string) (http.Handler, error)) (http.Handler, error) {
	if p.Settings.Base != "" {
		return build(p.Settings.Base)
	}
	if _, err := build(nobody); err != nil { // what is wrong under any address stops the start
		return nil, err
	}
	domain := "execute-api." + p.aws.Region + ".amazonaws.com"
	return &bases{domain: domain, build: build, log: p.Log, built: map[string]http.Handler{}}, nil
}

// bases holds one handler for each address that requests came to.
type bases struct {
	domain string
	build  func(base string) (http.Handler, error)
	log    *slog.Logger

	mu    sync.Mutex
	built map[string]http.Handler // by host
}

func (b *bases) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, err := b.at(strings.ToLower(r.Host))
	if err != nil {
		b.log.ErrorContext(r.Context(), "request to an address that is not answered", "host", r.Host, "err", err)
		access.WriteProblems(w, http.StatusMisdirectedRequest, access.Problem{
			Type: "MISDIRECTED", Description: "This address is not configured. Set " + settings.BaseURL + " to it.",
		})
		return
	}
	h.ServeHTTP(w, r)
}

func (b *bases) at(host string) (http.Handler, error) {
	api, domain, ok := strings.Cut(host, ".")
	if !ok || api == "" || strings.TrimSuffix(domain, ".cn") != b.domain {
		return nil, errBase
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.built[host]; h != nil {
		return h, nil
	}
	if len(b.built) == maxBases {
		return nil, fmt.Errorf("%d others are answered: %w", maxBases, errBase)
	}
	h, err := b.build("https://" + host)
	if err != nil {
		return nil, err
	}
	b.built[host] = h
	return h, nil
}
