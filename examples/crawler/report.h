/* report.h: a crawl as a page of numbers and plots (SVG), which stands alone. */
#ifndef CRAWLER_REPORT_H
#define CRAWLER_REPORT_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLOT_WIDTH = 640, PLOT_HEIGHT = 200, PLOT_BARS = 64 };

/* 1, 2 or 5 and zeroes behind it: at least so much. */
static double plot_round(double value)
{
    double power = 1, step[] = { 1, 2, 5, 10 };
    int i = 0;
    while (power * 10 <= value) power *= 10;
    while (power > value && value > 0) power /= 10;
    while (i < 3 && power * step[i] < value) i++;
    return power * step[i];
}

/* Bars with their names below them, as far as those fit. */
static void plot(FILE *out, const char *title, const double *values, char names[][16], int count)
{
    const double high = PLOT_HEIGHT;
    double most = 0, width = (double)PLOT_WIDTH / (count ? count : 1);
    int every = count > 12 ? (count + 11) / 12 : 1;
    for (int i = 0; i < count; i++)
        if (values[i] > most) most = values[i];
    most = plot_round(most);
    fprintf(out, "<h2>%s</h2>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n", title, PLOT_WIDTH + 60,
            PLOT_HEIGHT + 40, title);
    for (int i = 0; i <= 2; i++) {
        double y = 12 + PLOT_HEIGHT * (2 - i) / 2;
        fprintf(out, "<line class=\"grid\" x1=\"54\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                "<text x=\"50\" y=\"%.1f\" text-anchor=\"end\">%.6g</text>\n",
                PLOT_WIDTH + 54, y, y, y + 4, most * i / 2);
    }
    for (int i = 0; i < count; i++) {
        double height = most > 0 ? high * values[i] / most : 0, x = 54 + width * i;
        fprintf(out, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"><title>%s: %.4g</title></rect>\n",
                x + width * 0.05, 12 + high - height, width * 0.9, height, names[i], values[i]);
        if (i % every == 0)
            fprintf(out, "<text x=\"%.2f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x + width / 2,
                    PLOT_HEIGHT + 30, names[i]);
    }
    fprintf(out, "</svg>\n");
}

static int report_by_seconds(const void *a, const void *b)
{
    double x = ((const struct record *)a)->seconds, y = ((const struct record *)b)->seconds;
    return (x > y) - (x < y);
}

static void report_rates(FILE *out, const struct record *records, size_t count, double seconds)
{
    double values[PLOT_BARS] = { 0 };
    char names[PLOT_BARS][16];
    const double bars = PLOT_BARS;
    double step = seconds > 0 ? seconds / bars : 1;
    for (size_t i = 0; i < count; i++) {
        int bar = (int)(records[i].when / step);
        values[bar < 0 ? 0 : bar >= PLOT_BARS ? PLOT_BARS - 1 : bar] += 1 / step;
    }
    for (int i = 0; i < PLOT_BARS; i++) snprintf(names[i], sizeof names[i], "%.3g s", i * step);
    plot(out, "Pages a second", values, names, PLOT_BARS);
}

/* Each bar is for a quarter more time than the one before. */
static void report_times(FILE *out, const struct record *records, size_t count)
{
    double values[PLOT_BARS] = { 0 };
    char names[PLOT_BARS][16];
    int first = PLOT_BARS, last = -1;
    for (size_t i = 0; i < count; i++) {
        if (records[i].status < 100) continue;
        int bar = 0;
        for (double end = 1.25e-4; bar < PLOT_BARS - 1 && records[i].seconds >= end; end *= 1.25) bar++;
        values[bar]++;
        if (bar < first) first = bar;
        if (bar > last) last = bar;
    }
    double begin = 0.1;
    for (int i = 0; i < PLOT_BARS; i++, begin *= 1.25) snprintf(names[i], sizeof names[i], "%.3g ms", begin);
    if (last >= 0) plot(out, "Time of a page", values + first, names + first, last - first + 1);
}

static void report_statuses(FILE *out, const struct record *records, size_t count)
{
    double values[8] = { 0 };
    char names[8][16] = { "error", "robots.txt", "2xx", "3xx", "4xx", "5xx" };
    for (size_t i = 0; i < count; i++) {
        int status = records[i].status;
        values[status == STATUS_ROBOTS ? 1 : status >= 200 && status < 600 ? status / 100 : 0]++;
    }
    plot(out, "What came of them", values, names, 6);
}

static void report_depths(FILE *out, const struct record *records, size_t count)
{
    double values[PLOT_BARS] = { 0 };
    char names[PLOT_BARS][16];
    int last = 0;
    for (size_t i = 0; i < count; i++) {
        int depth = records[i].depth < 0 ? 0 : records[i].depth >= PLOT_BARS ? PLOT_BARS - 1 : records[i].depth;
        values[depth]++;
        if (depth > last) last = depth;
    }
    for (int i = 0; i <= last; i++) snprintf(names[i], sizeof names[i], "%d", i);
    plot(out, "Links from the beginning", values, names, last + 1);
}

/* Writes it, whole or not at all. 0 or errno. The records are sorted anew. */
static int report_write(const char *path, struct record *records, size_t count, size_t known)
{
    char temporary[4096];
    double seconds = 0, bytes = 0;
    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary) return ENAMETOOLONG;
    FILE *out = fopen(temporary, "w");
    if (!out) return errno;
    for (size_t i = 0; i < count; i++) {
        bytes += (double)records[i].bytes;
        if (records[i].when > seconds) seconds = records[i].when;
    }
    fprintf(out, "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Crawl</title>\n<style>\n"
            "body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }\n"
            "svg { width: 100%%; } rect { fill: #2563eb; } text { font-size: 11px; fill: #555; }\n"
            ".grid { stroke: #ddd; } td { padding-right: 2rem; } td + td { text-align: right; }\n"
            "</style>\n<h1>Crawl</h1>\n");
    report_rates(out, records, count, seconds);
    report_times(out, records, count);
    report_statuses(out, records, count);
    report_depths(out, records, count);
    if (count) qsort(records, count, sizeof *records, report_by_seconds);
    fprintf(out, "<h2>In numbers</h2>\n<table>\n<tr><td>Pages found<td>%zu\n<tr><td>finished<td>%zu\n<tr><td>seconds"
            "<td>%.1f\n<tr><td>a second<td>%.1f\n<tr><td>MB<td>%.2f\n", known, count, seconds,
            seconds > 0 ? (double)count / seconds : 0, bytes / 1e6);
    for (int percent = 50; count && percent <= 99; percent += percent == 50 ? 40 : 9)
        fprintf(out, "<tr><td>%d of 100 within<td>%.1f ms\n", percent,
                1e3 * records[(count - 1) * (size_t)percent / 100].seconds);
    fprintf(out, "</table>\n</html>\n");
    int code = ferror(out) ? EIO : 0;
    if (fclose(out) && !code) code = errno;
    if (!code && rename(temporary, path)) code = errno;
    if (code) remove(temporary);
    return code;
}

#endif
