package m365sim

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"
)

// feed is one tenant's content of one type, with its subscription.
type feed struct {
	contentType string
	state       subscription
	stopped     time.Time // when state became stopped
	stuck       bool      // content stays refused as if it were disabled, whatever the app does
	attempted   time.Time // the last start that counts for Options.StartSpacing
	blobs       []*blob   // by the time of their listing, then by their number
	lag         time.Duration
}

type subscription int

const (
	never    subscription = iota // never started
	enabled                      // started
	stopped                      // stopped by the app
	disabled                     // disabled by an administrator of the tenant
)

func (s subscription) String() string {
	return [...]string{"never started", "enabled", "stopped", "disabled"}[s]
}

type subscriptionAnswer struct {
	ContentType string    `json:"contentType"`
	Status      string    `json:"status,omitempty"`
	Webhook     *struct{} `json:"webhook"` // always null: webhooks are not simulated
}

func startSubscription(c *call) {
	if !c.admit("contentType") {
		return
	}
	contentType, ok := c.contentType()
	if !ok || !c.withoutWebhook() {
		return
	}
	t := c.tenant
	t.mu.Lock()
	f := t.feeds[contentType]
	off, was, wait := t.auditOff, f.state, f.attempt(c.now, c.opts)
	if !off && wait == 0 {
		f.start(c.now)
	}
	t.mu.Unlock()
	switch {
	case wait > 0:
		c.fail(c.opts.StartSpacingStatus, "429",
			"Too many frequent subscription start requests. Please retry again after "+minutesAndSeconds(wait)+".")
	case off:
		c.auditMissing("StartSubscription", contentType)
	case was == enabled:
		c.feedError("AF20024", "The subscription is already enabled. No property change.")
	default:
		c.json(http.StatusOK, subscriptionAnswer{ContentType: contentType, Status: "enabled"})
	}
}

// attempt notes a start and returns how long the app must wait before one is allowed; 0 when this one is.
func (f *feed) attempt(now time.Time, o *Options) (wait time.Duration) {
	if !f.attempted.IsZero() {
		wait = max(0, f.attempted.Add(o.StartSpacing).Sub(now))
	}
	if wait == 0 || o.RefusedStartsCount {
		f.attempted = now
	}
	return wait
}

// minutesAndSeconds spells a wait as Microsoft does: 8m 46s.
func minutesAndSeconds(d time.Duration) string {
	seconds := int((d + time.Second - 1) / time.Second)
	if seconds < 60 {
		return strconv.Itoa(seconds) + "s"
	}
	return strconv.Itoa(seconds/60) + "m " + strconv.Itoa(seconds%60) + "s"
}

// start enables the subscription. What became available while it was stopped is lost.
func (f *feed) start(now time.Time) {
	if f.state == stopped {
		for _, b := range f.blobs {
			if !b.visible.Before(f.stopped) && b.visible.Before(now) {
				b.lost = true
			}
		}
	}
	f.state = enabled
}

// withoutWebhook reads the optional body, and refuses the call when it asks for a webhook.
func (c *call) withoutWebhook() bool {
	raw, err := io.ReadAll(io.LimitReader(c.r.Body, 64<<10))
	if err != nil || len(raw) == 0 {
		return err == nil
	}
	var body struct {
		Webhook *struct {
			Address string `json:"address"`
		} `json:"webhook"`
	}
	switch err := json.Unmarshal(raw, &body); {
	case err != nil:
		c.feedError("AF20002", "Invalid parameter type: webhook. Expected type: json")
	case body.Webhook != nil:
		c.feedError("AF20021", "The webhook endpoint ("+body.Webhook.Address+") could not be validated. It did "+
			"not return HTTP 200.")
	default:
		return true
	}
	return false
}

func stopSubscription(c *call) {
	if !c.admit("contentType") {
		return
	}
	contentType, ok := c.contentType()
	if !ok {
		return
	}
	c.tenant.mu.Lock()
	f := c.tenant.feeds[contentType]
	was := f.state
	if was == enabled || was == disabled {
		f.state, f.stopped = stopped, c.now
	}
	c.tenant.mu.Unlock()
	if was != enabled && was != disabled {
		c.noSubscription()
		return
	}
	c.body(http.StatusOK, nil)
}

func listSubscriptions(c *call) {
	if !c.admit() {
		return
	}
	answers := []subscriptionAnswer{}
	c.tenant.mu.RLock()
	for _, contentType := range contentTypes() {
		if state := c.tenant.feeds[contentType].state; state == enabled || state == disabled {
			answers = append(answers, subscriptionAnswer{ContentType: contentType, Status: state.String()})
		}
	}
	c.tenant.mu.RUnlock()
	for i := range answers {
		if c.s.dice.happens("statusless|"+c.tenant.ID, c.opts.StatuslessRate) {
			answers[i].Status = ""
		}
	}
	c.json(http.StatusOK, answers)
}

// content is the state that decides whether content of the type may be listed and fetched.
func (f *feed) content() subscription {
	if f.stuck && f.state == enabled {
		return disabled
	}
	return f.state
}

// subscribed refuses the call unless content of the type may be listed and fetched.
func (c *call) subscribed(state subscription) bool {
	switch state {
	case enabled:
		return true
	case disabled:
		c.feedError("AF20023", "The subscription was disabled.")
	default:
		c.noSubscription()
	}
	return false
}

func (c *call) noSubscription() {
	c.feedError("AF20022", "No subscription found for the specified content type.")
}

// DisableSubscription makes an administrator of the tenant disable the subscription, or enable it again.
func (s *Server) DisableSubscription(tenantID, contentType string, off bool) error {
	f, t, err := s.feed(tenantID, contentType)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f.state = enabled
	if off {
		f.state = disabled
	}
	return nil
}

// StickSubscription makes content lists and blobs of the type answer AF20023 for good, although the subscription is
// listed as enabled and can be stopped and started, or ends that.
func (s *Server) StickSubscription(tenantID, contentType string, stuck bool) error {
	f, t, err := s.feed(tenantID, contentType)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f.stuck = stuck
	return nil
}
