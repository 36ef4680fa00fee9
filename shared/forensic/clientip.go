package forensic

import (
	"net"
	"net/netip"
	"strings"
)

// bareIP is an address of a record's ClientIP without its port, brackets and IPv4-in-IPv6 form: Microsoft writes
// "1.2.3.4:16902", "[2603::5]:54088", "[1.2.3.4]" and "::ffff:1.2.3.4". A host's name loses its port; what is neither is
// kept as it is.
func bareIP(s string) string {
	s = strings.TrimSpace(s)
	host := s
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(s, "]") {
		host = strings.TrimSuffix(inner, "]")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	host, _, err := net.SplitHostPort(s)
	if err != nil || host == "" {
		return s
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return host
}
