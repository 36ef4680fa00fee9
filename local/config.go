package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/local/machine"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
)

// config is what the environment says, read once.
type config struct {
	addr      string // host and port to listen on
	data      string // folder; "" is one by what runs in it
	records   string // an exported audit log; "" is none
	base      string // address that browsers reach us by, taken from the redirect URL; "" is http:// and addr
	retention time.Duration
	enrichment
	microsoft *m365.Config // nil: simulate
}

// The variables that make Mailtrail talk to Microsoft. Any one of them asks for all that are required. Those of the application may be set once
// for each cloud, with the cloud's name behind them: MAILTRAIL_CLIENT_ID_GCCHIGH.
const (
	envClientID       = "MAILTRAIL_CLIENT_ID"
	envSecret         = "MAILTRAIL_CLIENT_SECRET"
	envCertificate    = "MAILTRAIL_CLIENT_CERTIFICATE"
	envNewSecret      = "MAILTRAIL_NEW_CLIENT_SECRET"      // good beside the other one, while they are changed over
	envNewCertificate = "MAILTRAIL_NEW_CLIENT_CERTIFICATE" // likewise
	envPublisher      = "MAILTRAIL_PUBLISHER"
	envRedirect       = "MAILTRAIL_REDIRECT_URL"
	envCloud          = "MAILTRAIL_CLOUD"
	envRetention      = "MAILTRAIL_RETENTION_DAYS"
)

func readConfig(getenv func(string) string) (config, error) {
	c := config{
		addr:    cmp.Or(getenv("ADDR"), "127.0.0.1:8080"),
		data:    getenv("DATA"),
		records: getenv("RECORDS"),
	}
	if _, _, err := net.SplitHostPort(c.addr); err != nil {
		return c, fmt.Errorf("ADDR=%s is no host and port: %w", c.addr, err)
	}
	if days := getenv(envRetention); days != "" {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > 3650 {
			return c, fmt.Errorf("%s=%s is not a number of days from 1 to 3650", envRetention, days)
		}
		c.retention = time.Duration(n) * 24 * time.Hour
	}
	var err error
	if c.enrichment, err = readEnrichment(getenv); err != nil {
		return c, err
	}
	named := realNames(getenv)
	if len(named) == 0 {
		return c, nil
	}
	if c.records != "" {
		return c, fmt.Errorf("RECORDS= imports into a simulated tenant: unset %s", strings.Join(named, ", "))
	}
	return c.real(getenv)
}

// real completes the configuration of a machine that talks to Microsoft, and names everything that is missing.
func (c config) real(getenv func(string) string) (config, error) {
	var wrong []error
	base, ok := strings.CutSuffix(getenv(envRedirect), machine.CallbackPath)
	switch c.base = base; {
	case getenv(envRedirect) == "":
		wrong = append(wrong, fmt.Errorf("%s is missing: it is needed to talk to Microsoft", envRedirect))
	case !ok || !absolute(base):
		wrong = append(wrong, fmt.Errorf("%s must be http:// or https://, a host, and %s: that is where this machine answers Microsoft", envRedirect, machine.CallbackPath))
	}
	applications, err := readApplications(getenv)
	if err := errors.Join(append(wrong, err)...); err != nil {
		return c, err
	}
	c.data = cmp.Or(c.data, filepath.Join("data", "microsoft"))
	c.microsoft = &m365.Config{Applications: applications, Endpoints: map[connection.Cloud]m365.Endpoints{}}
	for cloud := range applications {
		c.microsoft.Endpoints[cloud] = m365.Clouds()[cloud]
	}
	return c, nil
}

// absolute tells whether s is a scheme and a host, and nothing else.
func absolute(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && s == u.Scheme+"://"+u.Host
}
