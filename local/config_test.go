package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
)

const (
	someID   = "5f0d3d5c-0a51-4b3f-9a7e-6c8f1b2d4e60"
	callback = "https://mailtrail.example/consent/callback"
)

func TestConfigurationsThatAreNoneAreRefusedByName(t *testing.T) {
	for _, test := range []struct{ env, want string }{
		{"ADDR=nonsense", "ADDR=nonsense"},
		{"MAILTRAIL_RETENTION_DAYS=0", "MAILTRAIL_RETENTION_DAYS=0"},
		{"MAILTRAIL_RETENTION_DAYS=many", "MAILTRAIL_RETENTION_DAYS=many"},
		{"MAILTRAIL_HASHES=some", "MAILTRAIL_HASHES"},
		{"MAILTRAIL_HASH_LIMIT_MB=0", "MAILTRAIL_HASH_LIMIT_MB=0"},
		{"MAILTRAIL_HASH_LIMIT_MB=1.5", "MAILTRAIL_HASH_LIMIT_MB=1.5"},
		{"MAILTRAIL_ENRICH_MINUTES=-1", "MAILTRAIL_ENRICH_MINUTES=-1"},
		// Half a real configuration never ends in a simulation, whichever half it is.
		{"MAILTRAIL_CLIENT_ID=" + someID, "MAILTRAIL_PUBLISHER is missing"},
		{"MAILTRAIL_CLIENT_SECRET=s", "MAILTRAIL_CLIENT_ID is missing"},
		{"MAILTRAIL_PUBLISHER=" + someID, "MAILTRAIL_CLIENT_ID is missing"},
		{"MAILTRAIL_REDIRECT_URL=" + callback, "MAILTRAIL_CLIENT_ID is missing"},
		{"MAILTRAIL_CLOUD=gcc", "MAILTRAIL_CLIENT_ID is missing"},
		{"MAILTRAIL_CLOUD=mars", "MAILTRAIL_CLOUD"},
		{"MAILTRAIL_PUBLISHER=" + someID + " RECORDS=a.csv", "unset MAILTRAIL_PUBLISHER"},
		{real(callback) + " MAILTRAIL_CLIENT_ID_DOD=" + someID, "MAILTRAIL_PUBLISHER_DOD is missing"},
		{real(callback) + " MAILTRAIL_CLOUD=dod " + application("_DOD"), "described twice"},
		{"MAILTRAIL_REDIRECT_URL=" + callback + " MAILTRAIL_CLOUD=gcc " + application("_DOD"), "MAILTRAIL_CLIENT_ID is missing"},
		{"MAILTRAIL_REDIRECT_URL=" + callback + " MAILTRAIL_CLIENT_ID=" + someID + " MAILTRAIL_PUBLISHER=" + someID, "MAILTRAIL_CLIENT_SECRET is missing"},
		{real("/consent/callback"), "MAILTRAIL_REDIRECT_URL must be"},
		{real("https:///consent/callback"), "MAILTRAIL_REDIRECT_URL must be"},
		{real("ftp://mailtrail.example/consent/callback"), "MAILTRAIL_REDIRECT_URL must be"},
		{real("https://mailtrail.example/elsewhere"), "MAILTRAIL_REDIRECT_URL must be"},
		{real(callback) + " MAILTRAIL_CLIENT_CERTIFICATE=/no/such/file", "MAILTRAIL_CLIENT_CERTIFICATE"},
	} {
		if _, err := readConfig(environment(test.env)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one that says %q", test.env, err, test.want)
		}
	}
}

func TestConfigurationsThatAreGood(t *testing.T) {
	c, err := readConfig(environment("RECORDS=a.csv MAILTRAIL_RETENTION_DAYS=3"))
	if err != nil || c.microsoft != nil || c.addr != "127.0.0.1:8080" || c.records != "a.csv" || c.retention != 72*time.Hour {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = readConfig(environment("MAILTRAIL_HASHES=external MAILTRAIL_HASH_LIMIT_MB=20 MAILTRAIL_ENRICH_MINUTES=45"))
	if err != nil || c.hashes != "external" || c.limit != 20<<20 || c.deadline != 45*time.Minute {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = readConfig(environment(real(callback)))
	if err != nil || c.microsoft == nil || c.base != "https://mailtrail.example" || c.microsoft.Applications[connection.Commercial].ClientID != someID {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestOneMachineServesSeveralClouds(t *testing.T) {
	for env, want := range map[string][]connection.Cloud{
		real(callback): {connection.Commercial},
		real(callback) + " MAILTRAIL_CLOUD=gcchigh":                                          {connection.GCCHigh},
		real(callback) + " " + application("_DOD"):                                           {connection.Commercial, connection.DoD},
		"MAILTRAIL_REDIRECT_URL=" + callback + " " + application("_GCC"):                     {connection.GCC},
		"MAILTRAIL_REDIRECT_URL=" + callback + application("_GCC") + application("_GCCHIGH"): {connection.GCC, connection.GCCHigh},
		real(callback) + " MAILTRAIL_NEW_CLIENT_SECRET=n" + application("_GCCHIGH"):          {connection.Commercial, connection.GCCHigh},
	} {
		c, err := readConfig(environment(env))
		if err != nil {
			t.Errorf("%s: %v", env, err)
			continue
		}
		var got []connection.Cloud
		for _, cloud := range connection.Clouds() {
			if a, ok := c.microsoft.Applications[cloud]; ok {
				got = append(got, cloud)
				if a.ClientID != someID || a.Publisher != someID || a.Credentials[0].Secret != "s" || c.microsoft.Endpoints[cloud] != m365.Clouds()[cloud] {
					t.Errorf("%s: %s is %+v", env, cloud, a)
				}
			}
		}
		if !slices.Equal(got, want) || len(c.microsoft.Endpoints) != len(want) {
			t.Errorf("%s serves %v, want %v", env, got, want)
		}
		c.microsoft.RedirectURL = callback
		if _, err := m365.New(*c.microsoft); err != nil {
			t.Errorf("%s: %v", env, err)
		}
	}
}

// real is a whole configuration with a redirect URL.
func real(redirect string) string {
	return application("") + " MAILTRAIL_REDIRECT_URL=" + redirect
}

// application are the variables of an application, each with the suffix.
func application(suffix string) string {
	return " MAILTRAIL_CLIENT_ID" + suffix + "=" + someID + " MAILTRAIL_CLIENT_SECRET" + suffix + "=s MAILTRAIL_PUBLISHER" + suffix + "=" + someID
}

func environment(pairs string) func(string) string {
	return func(name string) string {
		for pair := range strings.FieldsSeq(pairs) {
			if k, v, _ := strings.Cut(pair, "="); k == name {
				return v
			}
		}
		return ""
	}
}
