# Mandarin speech to text: the server, or any other command of asr.
#
#   docker build -t mandarin-asr .
#   docker run --rm -p 127.0.0.1:8000:8000 mandarin-asr
#   docker run --rm -v "$PWD:/data:ro" mandarin-asr transcribe /data/talk.wav
#
# With a GPU: docker build --build-arg TORCH=cu128 -t mandarin-asr:cuda . and docker run --gpus all …

ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS packages
# Which build of PyTorch: cpu, or that for a CUDA, as cu126 or cu128; uv knows where each lies.
ARG TORCH=cpu
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN pip install "uv>=0.9,<1" && uv venv /opt/asr
COPY pyproject.toml constraints.txt ./
RUN uv pip install --python /opt/asr --torch-backend "${TORCH}" -c constraints.txt -r pyproject.toml --extra serve --extra text

FROM packages AS wheel
COPY . .
RUN uv build --wheel --out-dir /wheel

FROM python:${PYTHON}-slim
RUN useradd --create-home --uid 10001 asr && install -d -o asr -g asr /models
# What changes seldom, and then the program: a new version is a layer of some 60 MB.
COPY --from=packages /opt/asr /opt/asr
RUN --mount=type=bind,from=packages,source=/usr/local/bin/uv,target=/usr/local/bin/uv \
    --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    uv pip install --no-cache --no-deps --python /opt/asr /wheel/*.whl
# Fetched models lie under /models: a volume keeps them.
ENV PATH=/opt/asr/bin:$PATH XDG_CACHE_HOME=/models PYTHONUNBUFFERED=1
USER 10001
WORKDIR /home/asr
VOLUME /models
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s CMD ["python", "-c", \
    "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=12)"]
ENTRYPOINT ["asr"]
CMD ["serve", "--host", "0.0.0.0"]
