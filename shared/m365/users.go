package m365

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/people"
)

const (
	userFields = "id,displayName,userPrincipalName,mail,accountEnabled,userType,proxyAddresses,assignedPlans"
	// maxAddress bounds an address that is looked up; SMTP allows 254 characters.
	maxAddress = 320
)

// Users returns one page of the tenant's people ("List users"); it needs User.Read.All. link is "", or a former
// page's Next. people.ErrResync means that the link is no longer valid.
func (c *Client) Users(ctx context.Context, t connection.Tenant, link string, size int) (people.Page, error) {
	what := fmt.Sprintf("list the people of tenant %s", t.ID)
	u, err := c.linkOr(t, link, "/users", url.Values{"$select": {userFields}, "$top": {strconv.Itoa(size)}})
	if err != nil {
		return people.Page{}, foreign(what, fault.Retry, err)
	}
	page, err := c.usersPage(ctx, call{what: what, tenant: t, url: u}, link != "")
	for i := range page.Changes { // a listing returns all that was selected: what is null has no value
		page.Changes[i].Partial = false
	}
	return page, err
}

// Changes returns one page of who changed in the tenant's directory since the link was given ("user: delta").
// With link "" it asks for no changes, only for a link to those from now on ($deltatoken=latest, "Use delta
// query to track changes in Microsoft Graph data"). Graph promises only the changed properties of a person, so
// an incomplete person is marked as partial. people.ErrResync means that the link is too old.
func (c *Client) Changes(ctx context.Context, t connection.Tenant, link string, size int) (people.Page, error) {
	what := fmt.Sprintf("list the changed people of tenant %s", t.ID)
	u, err := c.linkOr(t, link, "/users/delta", url.Values{"$select": {userFields}, "$deltatoken": {"latest"}})
	if err != nil {
		return people.Page{}, foreign(what, fault.Retry, err)
	}
	header := http.Header{"Prefer": {"odata.maxpagesize=" + strconv.Itoa(size)}}
	page, err := c.usersPage(ctx, call{what: what, tenant: t, url: u, header: header}, link != "")
	if err == nil && page.Next == "" && page.Delta == "" {
		err = unreadable(what, "the page has neither a next nor a delta link")
	}
	return page, err
}

// linkOr returns the address of a link that Graph gave us, or that of the first page.
func (c *Client) linkOr(t connection.Tenant, link, path string, query url.Values) (*url.URL, error) {
	if link == "" {
		return c.graphURL(t, path, query)
	}
	return c.graphLink(t, link)
}

func (c *Client) usersPage(ctx context.Context, call call, linked bool) (people.Page, error) {
	var said struct {
		Value []user `json:"value"`
		Next  string `json:"@odata.nextLink"`
		Delta string `json:"@odata.deltaLink"`
	}
	if err := c.graphJSON(ctx, call, &said); err != nil {
		return people.Page{}, resync(err, linked)
	}
	page := people.Page{Changes: make([]people.Change, 0, len(said.Value)), Next: said.Next, Delta: said.Delta}
	for _, u := range said.Value {
		if u.ID == "" { // nobody could say who it is
			return people.Page{}, unreadable(call.what, "the page holds somebody without an id")
		}
		page.Changes = append(
			page.Changes,
			people.Change{Person: u.person(), Removed: u.Removed != nil, Partial: u.partial()},
		)
	}
	return page, nil
}

// resync recognizes that a link has expired: 410 with syncStateNotFound or resyncRequired for a delta, and 400 for a
// page whose token is no longer known ("Microsoft Graph error responses and resource types").
func resync(err error, linked bool) error {
	var f *fault.Error
	if errors.Is(err, errTooLarge) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errSilent) ||
		errors.As(err, &f) && (f.Status == http.StatusGatewayTimeout || f.Status == http.StatusRequestEntityTooLarge) {
		return fmt.Errorf("%w: %w", err, people.ErrTooLarge)
	}
	if linked && errors.As(err, &f) && (f.Status == http.StatusGone || f.Status == http.StatusBadRequest) {
		return fmt.Errorf("%w: %w", err, people.ErrResync)
	}
	return err
}

// User returns the person whose object id or userPrincipalName this is ("Get a user"), or else one of whose
// proxyAddresses it is; mail is one of those. people.ErrUnknown means that there is none.
func (c *Client) User(ctx context.Context, t connection.Tenant, name string) (people.Person, error) {
	what := fmt.Sprintf("look for a person in the directory of tenant %s", t.ID)
	name = strings.TrimSpace(name)
	switch {
	case connection.IsGUID(name):
	case len(name) > maxAddress || !strings.Contains(name, "@") || strings.ContainsAny(name, "/\\?") ||
		!utf8.ValidString(name):
		return people.Person{}, fmt.Errorf("%s: it is neither an id nor an address: %w", what, people.ErrUnknown)
	case name[0] == '$': // such a name cannot stand in a path
		return c.userByAlias(ctx, t, what, name)
	}
	u, err := c.graphURL(t, "/users/"+url.PathEscape(name), url.Values{"$select": {userFields}})
	if err != nil {
		return people.Person{}, fmt.Errorf("%s: %w", what, err)
	}
	var found user
	err = c.graphJSON(ctx, call{what: what, tenant: t, url: u}, &found)
	switch {
	case err == nil && found.ID == "":
		return people.Person{}, unreadable(what, "the answer is a person without an id")
	case err == nil:
		return found.person(), nil
	case !isStatus(err, http.StatusNotFound):
		return people.Person{}, err
	case connection.IsGUID(name):
		return people.Person{}, fmt.Errorf("%w: %w", err, people.ErrUnknown)
	}
	return c.userByAlias(ctx, t, what, name)
}

func (c *Client) userByAlias(ctx context.Context, t connection.Tenant, what, address string) (people.Person, error) {
	// The prefix is SMTP for the primary address, and smtp for the others.
	address = quoted(address)
	u, err := c.graphURL(t, "/users", url.Values{
		"$filter": {
			"proxyAddresses/any(p:p eq 'smtp:" + address + "') or proxyAddresses/any(p:p eq 'SMTP:" + address + "')",
		},
		"$select": {userFields},
	})
	if err != nil {
		return people.Person{}, fmt.Errorf("%s: %w", what, err)
	}
	page, err := c.usersPage(ctx, call{what: what, tenant: t, url: u}, false)
	if err != nil {
		return people.Person{}, err
	}
	if len(page.Changes) == 0 {
		return people.Person{}, fmt.Errorf("%s: %w", what, people.ErrUnknown)
	}
	return page.Changes[0].Person, nil
}

// Domains returns the verified domains of the tenant ("List organizations"), in lower case. User.Read.All is
// documented to be enough; fault.Refused means that the tenant refuses it all the same.
func (c *Client) Domains(ctx context.Context, t connection.Tenant) ([]string, error) {
	what := fmt.Sprintf("list the domains of tenant %s", t.ID)
	u, err := c.graphURL(t, "/organization", url.Values{"$select": {"id,verifiedDomains"}})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	var said struct {
		Value []struct {
			Domains []struct {
				Name string `json:"name"`
			} `json:"verifiedDomains"`
		} `json:"value"`
	}
	if err := c.graphJSON(ctx, call{what: what, tenant: t, url: u}, &said); err != nil {
		return nil, err
	}
	var names []string
	for _, o := range said.Value {
		for _, d := range o.Domains {
			if name := people.Fold(d.Name); name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// user is a person as Graph writes one; what was not selected, or is not known, is null.
type user struct {
	ID        string    `json:"id"`
	Name      string    `json:"displayName"`
	Principal string    `json:"userPrincipalName"`
	Mail      string    `json:"mail"`
	Type      string    `json:"userType"`
	Enabled   *bool     `json:"accountEnabled"`
	Proxies   []string  `json:"proxyAddresses"`
	Plans     []plan    `json:"assignedPlans"`
	Removed   *struct{} `json:"@removed"`
}

// partial says whether some properties of the person are missing. An empty list is not null. A mail that is
// null alone proves nothing, but whoever has a mail also has an address among the proxies.
func (u user) partial() bool {
	return u.Principal == "" || u.Type == "" || u.Enabled == nil || u.Proxies == nil || u.Plans == nil ||
		u.Mail == "" && len(u.Proxies) > 0
}

type plan struct {
	ID     string `json:"servicePlanId"`
	Status string `json:"capabilityStatus"`
}

func (u user) person() people.Person {
	guest := strings.EqualFold(u.Type, "Guest")
	return people.Person{
		ID:        people.ObjectID(strings.ToLower(u.ID)),
		Principal: u.Principal,
		Name:      u.Name,
		Addresses: u.addresses(),
		Facts: people.Facts{
			Enabled: u.Enabled != nil && *u.Enabled,
			Guest:   guest,
			Mailbox: u.Mail != "" && !guest,
			Plan:    u.auditing(),
		},
	}
}

// addresses are mail and the SMTP ones of proxyAddresses, which also holds X500 and SIP addresses.
func (u user) addresses() []string {
	var all []string
	add := func(address string) {
		if address = people.Fold(address); address != "" && !slices.Contains(all, address) {
			all = append(all, address)
		}
	}
	add(u.Mail)
	for _, p := range u.Proxies {
		if kind, address, ok := strings.Cut(p, ":"); ok && strings.EqualFold(kind, "smtp") {
			add(address)
		}
	}
	return all
}

// auditing returns the best status of the plan that includes Audit (Premium): a person may have it from several
// subscriptions.
func (u user) auditing() string {
	best, rank := "", 0
	for _, p := range u.Plans {
		if !strings.EqualFold(p.ID, people.AdvancedAuditing) {
			continue
		}
		order := 1 + slices.Index([]string{"Deleted", "LockedOut", "Suspended", "Warning", "Enabled"}, p.Status)
		if order > rank || best == "" {
			best, rank = p.Status, order
		}
	}
	return best
}

// quoted escapes a string for use between OData's quotes.
func quoted(s string) string { return strings.ReplaceAll(s, "'", "''") }

func isStatus(err error, status int) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Status == status
}
