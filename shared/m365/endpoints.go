package m365

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/mailtrail/mailtrail/shared/connection"
)

// Endpoints are the roots of one cloud, without a trailing slash, and the scopes of its two resources. They are data:
// national clouds, tests and a simulated tenant differ in nothing else.
type Endpoints struct {
	Login    string // e.g. https://login.microsoftonline.com
	Activity string // e.g. https://manage.office.com
	Graph    string // e.g. https://graph.microsoft.com

	// Files is the domain on whose hosts the files of OneDrive and SharePoint are served, e.g. sharepoint.com. "" means
	// that no download is followed to another host.
	Files string

	ActivityScope string // e.g. https://manage.office.com/.default
	GraphScope    string // e.g. https://graph.microsoft.com/.default
}

// Clouds are Microsoft's four clouds that have the Office 365 Management Activity API (its reference, "Activity API
// operations"; "National cloud deployments"). GCC shares the login and Graph of the commercial cloud.
func Clouds() map[connection.Cloud]Endpoints {
	return map[connection.Cloud]Endpoints{
		connection.Commercial: cloud(
			"https://login.microsoftonline.com",
			"https://manage.office.com",
			"https://graph.microsoft.com",
			"sharepoint.com",
		),
		connection.GCC: cloud(
			"https://login.microsoftonline.com",
			"https://manage-gcc.office.com",
			"https://graph.microsoft.com",
			"sharepoint.com",
		),
		connection.GCCHigh: cloud(
			"https://login.microsoftonline.us",
			"https://manage.office365.us",
			"https://graph.microsoft.us",
			"sharepoint.us",
		),
		connection.DoD: cloud(
			"https://login.microsoftonline.us",
			"https://manage.protection.apps.mil",
			"https://dod-graph.microsoft.us",
			"sharepoint-mil.us",
		),
	}
}

func cloud(login, activity, graph, files string) Endpoints {
	return Endpoints{
		Login: login, Activity: activity, Graph: graph, Files: files,
		ActivityScope: activity + "/.default", GraphScope: graph + "/.default",
	}
}

func (e Endpoints) check() error {
	return errors.Join(
		checkRoot("Login", e.Login), checkRoot("Activity", e.Activity), checkRoot("Graph", e.Graph),
		checkScope("ActivityScope", e.ActivityScope), checkScope("GraphScope", e.GraphScope),
	)
}

func checkRoot(name, root string) error {
	u, err := url.Parse(root)
	switch {
	case root == "":
		return fmt.Errorf("%s is missing", name)
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return fmt.Errorf("%s is no http or https URL", name)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return fmt.Errorf("%s is plain http beyond this machine: tokens go there, so it must be https", name)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(root, "/"):
		return fmt.Errorf("%s is more than a root without a trailing slash", name)
	}
	return nil
}

// loopback says whether a host is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func checkScope(name, scope string) error {
	if scope == "" {
		return fmt.Errorf("%s is missing", name)
	}
	return nil
}

// endpoints returns the endpoints of a cloud.
func (c *Client) endpoints(cloud connection.Cloud) (Endpoints, error) {
	e, ok := c.config.Endpoints[cloud]
	if !ok {
		return Endpoints{}, fmt.Errorf("no endpoints are configured for cloud %q", cloud)
	}
	return e, nil
}

// endpointsOf also checks the tenant's id, because it becomes part of paths.
func (c *Client) endpointsOf(t connection.Tenant) (Endpoints, error) {
	if !connection.IsGUID(string(t.ID)) {
		return Endpoints{}, fmt.Errorf("tenant id %q is no GUID", t.ID)
	}
	return c.endpoints(t.Cloud)
}

// ParseEndpoints reads the endpoints of some clouds from a JSON object, {"commercial": {"login": "https://...", ...}},
// and returns those of all clouds: what the object leaves out is Microsoft's own.
func ParseEndpoints(text string) (map[connection.Cloud]Endpoints, error) {
	var said map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		return nil, fmt.Errorf("read the endpoints: %w", err)
	}
	all := Clouds()
	for name, raw := range said {
		cloud, err := connection.ParseCloud(name)
		if err != nil || name == "" {
			return nil, fmt.Errorf("read the endpoints: cloud %q is none of commercial, gcc, gcchigh, dod", name)
		}
		e := all[cloud]
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil {
			return nil, fmt.Errorf("read the endpoints of cloud %s: %w", cloud, err)
		}
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("endpoints of cloud %s: %w", cloud, err)
		}
		all[cloud] = e
	}
	return all, nil
}
