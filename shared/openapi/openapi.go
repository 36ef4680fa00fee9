// Package openapi holds the description of the whole API, in OpenAPI 3.1, and serves it. A test of local/machine
// checks it against the handlers.
package openapi

import (
	_ "embed"
	"net/http"

	"github.com/mailtrail/mailtrail/shared/access"
)

//go:embed openapi.json
var document []byte

// Routes are the one door, which is open to everybody.
func Routes() []access.Route {
	return []access.Route{{Pattern: "GET /v1/openapi.json", Public: true, Handler: http.HandlerFunc(serve)}}
}

func serve(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(document) // a caller that has hung up does not miss it
}
