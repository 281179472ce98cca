/* pages.h: what the service says of itself: an OpenAPI document, and a page to try it in a browser. */
#ifndef SERVICE_PAGES_H
#define SERVICE_PAGES_H

#define JSON_OF(name) \
    ",\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/" name "\"}}}}"
#define ANSWER(status, says, name) "\"" status "\":{\"description\":\"" says "\"" JSON_OF(name)
#define NO_REDIS \
    ANSWER("409", "The name is that of something else", "Error") "," \
    ANSWER("500", "Redis refuses", "Error") "," ANSWER("503", "Redis cannot be reached", "Error")

static const char openapi[] =
    "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Cars\",\"version\":\"1.0.0\"},\"paths\":{"
    "\"/\":{\"get\":{\"operationId\":\"hello\",\"summary\":\"Says hello\",\"responses\":{"
    ANSWER("200", "A greeting", "Greeting") "}}},"
    "\"/red\":{\"get\":{\"operationId\":\"red\",\"summary\":\"Keeps a car in Redis, and reads it back\",\"responses\":{"
    ANSWER("200", "The car", "Car") "," NO_REDIS "}}},"
    "\"/cars/{name}\":{\"parameters\":[{\"name\":\"name\",\"in\":\"path\",\"required\":true,"
    "\"schema\":{\"type\":\"string\"}}],"
    "\"get\":{\"operationId\":\"getCar\",\"summary\":\"What is known of a car\",\"responses\":{"
    ANSWER("200", "The car", "Car") "," ANSWER("404", "There is none", "Error") "," NO_REDIS "}},"
    "\"put\":{\"operationId\":\"putCar\",\"summary\":\"Keeps a car\",\"requestBody\":{\"required\":true,"
    "\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/Car\"},"
    "\"example\":{\"colour\":\"red\",\"doors\":\"5\"}}}},\"responses\":{"
    ANSWER("200", "The car", "Car") "," ANSWER("400", "No JSON", "Error") ","
    ANSWER("413", "Over 1 MiB", "Error") "," ANSWER("415", "Not said to be JSON", "Error") ","
    ANSWER("422", "No object of texts", "Error") "," NO_REDIS "}}},"
    "\"/metrics\":{\"get\":{\"operationId\":\"metrics\",\"summary\":\"Counters of requests and loops\",\"responses\":{"
    "\"200\":{\"description\":\"In Prometheus' text format\",\"content\":{\"text/plain\":{\"schema\":"
    "{\"type\":\"string\"}}}}}}}},"
    "\"components\":{\"schemas\":{"
    "\"Greeting\":{\"type\":\"object\",\"required\":[\"message\"],\"properties\":{\"message\":{\"type\":\"string\"}}},"
    "\"Car\":{\"type\":\"object\",\"minProperties\":1,\"additionalProperties\":{\"type\":\"string\"}},"
    "\"Error\":{\"type\":\"object\",\"required\":[\"status\",\"error\"],\"properties\":{"
    "\"status\":{\"type\":\"integer\"},\"error\":{\"type\":\"string\"}}}}}}";

/* Reads the document, and has a form for each operation; with "#GET /red" behind its address it sends that at once. */
static const char docs[] =
    "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Cars</title>\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<style>\n"
    "body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }\n"
    "section { border: 1px solid #ddd; border-radius: 8px; margin: 1rem 0; padding: .8rem 1rem; }\n"
    "b { display: inline-block; min-width: 3.2rem; color: #2563eb; } h2 { font-size: 1rem; margin: 0; }\n"
    "p { margin: .2rem 0 .6rem; color: #555; } pre { background: #f5f5f5; padding: .6rem; overflow: auto; }\n"
    "input, textarea, button { font: inherit; } textarea { display: block; width: 100%; margin: .4rem 0; }\n"
    "pre:empty { display: none; }\n"
    "</style>\n<h1>Cars</h1>\n<main></main>\n<script>\n"
    "const main = document.querySelector('main');\n"
    "const make = (tag, text, parent) => {\n"
    "  const made = document.createElement(tag); made.textContent = text; parent.append(made); return made; };\n"
    "fetch('/openapi.json').then(answer => answer.json()).then(api => {\n"
    "  for (const [path, item] of Object.entries(api.paths))\n"
    "    for (const method of ['get', 'put', 'post', 'delete']) if (item[method]) {\n"
    "      const name = method.toUpperCase() + ' ' + path, section = make('section', '', main);\n"
    "      const head = make('h2', '', section); make('b', method.toUpperCase(), head); head.append(' ' + path);\n"
    "      make('p', item[method].summary, section);\n"
    "      const fields = (item.parameters || []).map(p => {\n"
    "        const field = make('input', '', section); field.placeholder = field.name = p.name; return field; });\n"
    "      const content = item[method].requestBody?.content['application/json'];\n"
    "      const body = content && make('textarea', JSON.stringify(content.example), section);\n"
    "      const button = make('button', 'Send', section), out = make('pre', '', section);\n"
    "      button.onclick = async () => {\n"
    "        let to = path;\n"
    "        for (const field of fields) to = to.replace(`{${field.name}}`, encodeURIComponent(field.value));\n"
    "        try {\n"
    "          const answer = await fetch(to, { method: method.toUpperCase(), body: body && body.value,\n"
    "            headers: body ? { 'Content-Type': 'application/json' } : {} });\n"
    "          out.textContent = answer.status + ' ' + answer.statusText + '\\n' + await answer.text();\n"
    "        } catch (error) { out.textContent = error; }\n"
    "      };\n"
    "      if (decodeURIComponent(location.hash) == '#' + name) button.click();\n"
    "    }\n"
    "});\n</script>\n</html>\n";

#endif
