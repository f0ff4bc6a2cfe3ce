// Binary interop-caller runs grpc-go's own interop cases, and those of compression that it lacks, and
// prints how each ended and their sum.
//
// Usage: interop-caller ADDRESS CLIENT_ID LABEL CASE...; an empty CLIENT_ID calls without one. A case
// that fails ends its process, so each one gets a process of its own.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// only is the variable that makes a process run one case, and tell by its exit code how it ended.
const only = "INTEROP_CASE"

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: interop-caller ADDRESS CLIENT_ID LABEL CASE...")
		os.Exit(2)
	}
	address, clientID, label, names := os.Args[1], os.Args[2], os.Args[3], os.Args[4:]
	if name, ok := os.LookupEnv(only); ok {
		run(name, address, clientID)
		return
	}
	passed := 0
	for _, name := range names {
		process := exec.Command(os.Args[0], address, clientID, label)
		process.Env = append(os.Environ(), only+"="+name)
		if output, err := process.CombinedOutput(); err != nil {
			fmt.Printf("FAIL %s: %s: %v: %q\n", label, name, err, lastWords(output))
			continue
		}
		passed++
		fmt.Printf("ok   %s: %s\n", label, name)
	}
	fmt.Printf("%d/%d %s\n", passed, len(names), label)
	if passed != len(names) {
		os.Exit(1)
	}
}

// lastWords is what the process said when it gave up; a soak says more before that.
func lastWords(output []byte) string {
	text := strings.TrimSpace(string(output))
	return text[max(0, strings.LastIndex(text, "FATAL"), len(text)-500):]
}
