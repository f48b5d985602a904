// Runs a Python script on Pyodide, which is CPython on WebAssembly.
//
//   node pyodide_run.mjs PYODIDE SYS_PATH_FOLDER SCRIPT [ARG...]
//
// PYODIDE is what `incremental.sh pyodide` printed. SYS_PATH_FOLDER is what the script may import
// from; the folder is seen live, not copied. The script runs as __main__ with ARGs in sys.argv.
// The exit status is the script's own: what sys.exit() was given, or 1 after an uncaught exception.

import { existsSync, readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const USAGE_ERROR = 2;
const MOUNTED = '/on_sys_path';

const RUN_AS_MAIN = `
import sys, traceback
sys.path.insert(0, mounted)
sys.argv = list(argv)
sys.dont_write_bytecode = True  # the mounted folder is the caller's own
module = type(sys)("__main__")
module.__file__ = argv[0]
sys.modules["__main__"] = module
status = 0
try:
    exec(compile(source, argv[0], "exec"), module.__dict__)
except SystemExit as stop:
    if stop.code is not None and not isinstance(stop.code, int):
        print(stop.code, file=sys.stderr)
    status = 0 if stop.code is None else stop.code if isinstance(stop.code, int) else 1
except BaseException:
    traceback.print_exc()
    status = 1
sys.stdout.flush()
sys.stderr.flush()
status
`;

// Copies, because the bytes lie in Python's memory, which may change before they are written.
function passOn(stream) {
  return (bytes) => {
    stream.write(Buffer.from(bytes));
    return bytes.length;
  };
}

async function main([pyodideFolder, sysPathFolder, script, ...args]) {
  if (script === undefined) {
    console.error('usage: node pyodide_run.mjs PYODIDE SYS_PATH_FOLDER SCRIPT [ARG...]');
    return USAGE_ERROR;
  }
  const absent = [pyodideFolder, sysPathFolder, script].find((path) => !existsSync(path));
  if (absent !== undefined) {
    console.error(`no such file or folder: ${absent}`);
    return USAGE_ERROR;
  }
  const entry = pathToFileURL(resolve(pyodideFolder, 'pyodide.mjs'));
  const { loadPyodide } = await import(entry.href);
  const pyodide = await loadPyodide();
  pyodide.setStdout({ write: passOn(process.stdout) });
  pyodide.setStderr({ write: passOn(process.stderr) });
  pyodide.mountNodeFS(MOUNTED, resolve(sysPathFolder));
  const globals = pyodide.toPy({
    mounted: MOUNTED,
    argv: [basename(script), ...args],
    source: readFileSync(script, 'utf8'),
  });
  return pyodide.runPython(RUN_AS_MAIN, { globals });
}

// Not process.exit(): that could cut off output which has not been written yet.
process.exitCode = await main(process.argv.slice(2));
