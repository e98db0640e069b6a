// Lua runs scripts as Argo CD runs those of its resource customizations: the same engine, and no more libraries.
package main

import (
	"encoding/json"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
	luajson "layeh.com/gopher-json"
)

// A run is a script and the global variable `obj` that it finds.
type run struct {
	Script string `json:"script"`
	Object any    `json:"object"`
}

// An answer is what the script returned, or why it did not.
type answer struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

func main() {
	var runs []run
	if err := json.NewDecoder(os.Stdin).Decode(&runs); err != nil {
		panic(err)
	}
	answers := make([]answer, 0, len(runs))
	for _, one := range runs {
		answers = append(answers, execute(one))
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		panic(err)
	}
}

// execute follows runLuaWithResourceActionParameters of Argo CD's util/lua: customizations in argocd-cm get the libraries
// package, base, table and, of os, the time.
func execute(one run) answer {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range []lua.LGFunction{lua.OpenPackage, lua.OpenBase, lua.OpenTable, openClock} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(library), Protect: true}); err != nil {
			return answer{Error: err.Error()}
		}
	}
	state.SetGlobal("obj", luajson.DecodeValue(state, one.Object))
	if err := state.DoString(one.Script); err != nil {
		return answer{Error: err.Error()}
	}
	encoded, err := luajson.Encode(state.Get(-1))
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Result: encoded}
}

func openClock(state *lua.LState) int {
	state.Push(state.RegisterModule(lua.OsLibName, map[string]lua.LGFunction{
		"time": func(state *lua.LState) int {
			state.Push(lua.LNumber(time.Now().Unix()))
			return 1
		},
	}))
	return 1
}
