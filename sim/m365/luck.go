package m365sim

import "net/http"

// refusedByChance answers with one of the refusals that Microsoft gives without a reason, when the dice say so. The
// pages that a person clicks through are spared: a person would not retry them.
func (c *call) refusedByChance() bool {
	if c.route.root == login && c.route.op != "login.token" || c.route.op == "graph.batch" {
		return false
	}
	key := c.route.op + "|"
	if c.tenant != nil { // a tenant that does not exist gets no sequence of its own, or anyone could make thousands
		key += c.tenant.ID
	}
	dice, opts := &c.s.dice, c.opts
	if !dice.happens(key, opts.RefuseRate) {
		whole := c.route.op != "feed.blob" && c.route.op != "graph.value" && c.route.op != "files.download"
		if !whole && dice.happens("torn|"+key, opts.TornRate) {
			c.w.cut = int64(1 + dice.roll("length|"+key)%512)
		}
		return false
	}
	kind := dice.roll("kind|"+key) % 4
	switch c.route.root {
	case manage:
		c.refuseFeed(kind)
	case graph:
		c.refuseGraph(kind)
	case login:
		c.refuseToken(kind)
	case files:
		c.gatewayPage(http.StatusServiceUnavailable)
	}
	return true
}

func (c *call) refuseFeed(kind uint64) {
	switch kind {
	case 0:
		c.throttleFeed(http.StatusTooManyRequests)
	case 1:
		c.throttleFeed(http.StatusForbidden)
	case 2:
		c.fail(http.StatusInternalServerError, "AF50000", "An internal error occurred. Retry the request.")
	default:
		c.gatewayPage(http.StatusServiceUnavailable)
	}
}

func (c *call) refuseGraph(kind uint64) {
	switch kind {
	case 0, 1:
		c.retryAfter(c.opts.RetryAfter)
		c.fail(http.StatusTooManyRequests, "TooManyRequests", "Too many requests.")
	case 2:
		c.retryAfter(c.opts.RetryAfter)
		c.fail(http.StatusServiceUnavailable, "ServiceUnavailable", "The service is temporarily unavailable.")
	default:
		c.gatewayPage(http.StatusGatewayTimeout)
	}
}

func (c *call) refuseToken(kind uint64) {
	if kind == 0 {
		c.retryAfter(c.opts.RetryAfter)
		c.tokenError(errThrottled)
		return
	}
	c.tokenError(errTransient)
}

// gatewayPage is what stands in front of the service answering for it: HTML, where JSON was expected.
func (c *call) gatewayPage(status int) {
	c.w.Header().Set("Content-Type", "text/html")
	c.body(status, []byte("<html><head><title>"+http.StatusText(status)+"</title></head><body>The gateway gave "+
		"up.</body></html>"))
}
